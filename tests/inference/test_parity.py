"""Training, model folder, command and MLflow's model say the same of the same paragraphs: those of a golden file.

tests/golden.jsonl holds real paragraphs of both languages, and what TF-IDF says of them when trained on the others.
`pytest tests/inference/test_parity.py --set-golden` writes it anew when text preparation, recipe or annotations change.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest

from pipeline import Classifier
from pipeline.classifiers.base import Setup, model_class
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.inference.batch.rows import BatchOptions, classify_batch
from pipeline.inference.readers.schema import InputRecord
from pipeline.text.boilerplate import Boilerplate
from pipeline.training.train import train_model
from tests.conftest import ROOT, THEMES

GOLDEN = Path(__file__).parent.parent / "golden.jsonl"
EVERY = 3
"""One row in three is golden, the others train."""


def golden() -> list[dict[str, Any]]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


@pytest.fixture(scope="module")
def setup(labels: Labels) -> Setup:
    return Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], setup: Setup) -> Path:
    taught = [row for number, row in enumerate(rows) if number % EVERY]
    model, facts = train_model("tfidf", taught, setup, dict.fromkeys(THEMES, 0.35), 0.25)
    path = tmp_path_factory.mktemp("models") / "tfidf"
    save_model_folder(path, model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    return path


def write(rows: list[LabelledRow], classifier: Classifier) -> None:
    chosen = [row for number, row in enumerate(rows) if not number % EVERY]
    with GOLDEN.open("w") as file:
        for row, prediction in zip(chosen, classifier([row.text for row in chosen]), strict=True):
            told = {"language": row.language, "text": row.text, "themes": prediction.themes}
            scores = {name: round(score, 4) for name, score in prediction.scores.items()}
            file.write(json.dumps({**told, "scores": scores}, ensure_ascii=False) + "\n")


@pytest.fixture(scope="module", autouse=True)
def _set(request: pytest.FixtureRequest, rows: list[LabelledRow], folder: Path) -> None:
    if request.config.getoption("--set-golden"):
        write(rows, Classifier.load(folder))


def check(found: list[dict[str, Any]]) -> None:
    assert len(found) == len(golden())
    for row, expected in zip(found, golden(), strict=True):
        assert list(row["themes"]) == expected["themes"]
        assert row["scores"] == pytest.approx(expected["scores"], abs=1e-3)


def test_the_golden_file_holds_both_languages_and_all_kinds_of_answers() -> None:
    assert {row["language"] for row in golden()} == {"kk", "ru"}
    assert {len(row["themes"]) for row in golden()} >= {0, 1, 2}
    assert {theme for row in golden() for theme in row["themes"]} >= {"education", "prevention", "meritocracy"}


def test_as_trained(rows: list[LabelledRow], setup: Setup) -> None:
    model = model_class("tfidf")(setup)
    model.fit([row for number, row in enumerate(rows) if number % EVERY])
    for row, scores in zip(golden(), model.predict([row["text"] for row in golden()]), strict=True):
        assert dict(zip(THEMES, scores, strict=True)) == pytest.approx(row["scores"], abs=1e-3)


def test_from_the_folder(folder: Path) -> None:
    predictions = Classifier.load(folder)([row["text"] for row in golden()])
    check([{"themes": prediction.themes, "scores": prediction.scores} for prediction in predictions])


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("backwards", [False, True])
def test_in_batches(size: int, backwards: bool, folder: Path) -> None:
    classifier = Classifier.load(folder)
    entries = [InputRecord(id=str(n), source="s", text=row["text"]) for n, row in enumerate(golden())]
    entries = entries[::-1] if backwards else entries
    rows = [
        row
        for start in range(0, len(entries), size)
        for row in classify_batch(entries[start : start + size], classifier, BatchOptions(unit="paragraph")).rows
    ]
    check(sorted(rows, key=lambda row: int(row["id"])))


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")
def test_as_mlflow_serves_it(folder: Path) -> None:
    from pipeline.tracking.served import Served

    served = Served()
    served.load_context(SimpleNamespace(artifacts={"model": str(folder)}))  # type: ignore[arg-type]
    check(served.predict(None, pandas.DataFrame({"text": [row["text"] for row in golden()]})))  # type: ignore[arg-type]
