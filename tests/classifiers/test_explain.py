"""Reasons are the model's own: words add up to its log-odds, neighbours are near to it, rules are those that fire."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Classifier
from pipeline.classifiers import explain
from pipeline.classifiers.base import Setup, TextClassifier, model_class
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.inference.classifier import PredictOptions
from pipeline.labelling.rules import RuleSettings
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.normalize import prepare
from pipeline.training.train import train_model
from tests.classifiers.test_classifiers import TRANSFORMER
from tests.conftest import ROOT, THEMES

TEXT = "В школах и вузах внедряются программы «Адал ұрпақ», а отбор на госслужбу — электронный."


def made(name: str, folder: Path, setup: Setup, rows: list[LabelledRow]) -> Path:
    """A model folder with all that explains it."""
    model, facts = train_model(name, rows, setup, dict.fromkeys(THEMES, 0.4), 0.25)
    rules = load_settings(ROOT / "configs/rules.yaml", RuleSettings)
    reasons = partial(explain.save_training_neighbours, model=model, rows=rows, labels=setup.labels, rules=rules)
    save_model_folder(folder, model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate), reasons)
    return folder


@pytest.fixture(scope="module")
def folders(
    tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], labels: Labels, tiny_encoder: Path
) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    (place / "transformer.yaml").write_text(TRANSFORMER)
    configs = {"tfidf": ROOT / "configs/tfidf.yaml", "transformer": place / "transformer.yaml"}
    return {
        name: made(name, place / name, Setup(labels, config, tiny_encoder, 1, 0), rows)
        for name, config in configs.items()
    }


@pytest.fixture(scope="module")
def tfidf(rows: list[LabelledRow], labels: Labels) -> TfidfRegression:
    model: TextClassifier = model_class("tfidf")(Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0))
    model.fit(rows)
    return model.tfidf  # type: ignore[attr-defined, no-any-return]


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from([*TEXT.split(), "мектеп,", "Мектеп", "онлайн-тест", "«", "a", "İstanbul"])))
def test_words_add_up_to_the_log_odds(tfidf: TfidfRegression, words: list[str]) -> None:
    text = prepare(" ".join(words))
    _, weights = explain.word_contributions(tfidf, text)
    assert np.allclose(weights.sum(axis=0) + tfidf.intercepts, tfidf.logits([text])[0], atol=1e-9)


def test_words_rules_and_neighbours_of_a_real_paragraph(folders: dict[str, Path], rows: list[LabelledRow]) -> None:
    classifier = Classifier.load(folders["transformer"])
    (why,) = classifier.explain([TEXT], [("education",)])
    assert list(why.words) == ["education"]
    assert "школах" in why.words["education"]
    assert list(why.words["education"].values()) == sorted(why.words["education"].values(), reverse=True)
    assert any(rule["theme"] == "education" and rule["votes"] == "for" for rule in why.rules)
    row = rows[7]
    (own,) = classifier.explain([row.text])
    assert own.nearest[0]["id"] == row.id
    assert own.nearest[0]["similarity"] == pytest.approx(1, abs=2e-3)
    assert own.nearest[0]["text"] == row.text
    assert [n["similarity"] for n in own.nearest] == sorted((n["similarity"] for n in own.nearest), reverse=True)


def test_a_tfidf_model_tells_words_and_rules(folders: dict[str, Path]) -> None:
    (why,) = Classifier.load(folders["tfidf"]).explain([TEXT], [THEMES])
    assert why.nearest == ()
    assert set(why.words) == set(THEMES)
    assert why.rules


def test_a_batch_tells_why(folders: dict[str, Path]) -> None:
    from pipeline.inference.batch.rows import BatchOptions, classify_batch
    from pipeline.inference.readers.schema import InputRecord

    entry = InputRecord(id="a", source="s", text=f"{TEXT}\nЧитайте также\n{TEXT[:40]}")
    options = BatchOptions(explain=True, text=False, choice=PredictOptions(thresholds=dict.fromkeys(THEMES, 0.0)))
    rows = classify_batch([entry], Classifier.load(folders["tfidf"]), options).rows
    judged = [row for row in rows if row["status"] != "rejected"]
    assert judged
    assert all(set(row["why"]["words"]) == set(THEMES) for row in judged)
    assert all(("why" in row) == (row["status"] != "rejected") and "text" not in row for row in rows)
    json.dumps(rows)


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_a_batch_without_content_needs_no_reasons(name: str, folders: dict[str, Path]) -> None:
    from pipeline.inference.batch.rows import BatchOptions, classify_batch
    from pipeline.inference.readers.schema import InputRecord

    entries = [InputRecord(id="a", source="s", text="Читайте также"), InputRecord(id="b", source="s", reason="empty")]
    found = classify_batch(entries, Classifier.load(folders[name]), BatchOptions(explain=True))
    assert [row["status"] for row in found.rows + found.quarantined] == ["rejected", "failed"]


def test_a_folder_without_reasons_says_so(tmp_path: Path, rows: list[LabelledRow], labels: Labels) -> None:
    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    model, facts = train_model("tfidf", rows, setup, dict.fromkeys(THEMES, 0.4), 0.25)
    save_model_folder(tmp_path / "m", model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    with pytest.raises(UserError, match="holds nothing to explain with; train the model again"):
        Classifier.load(tmp_path / "m").explain([TEXT])
