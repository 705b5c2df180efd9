"""The challenge set: fixed parts, nothing of it in training, scored with the model's own thresholds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.classifiers.base import Setup
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl
from pipeline.core.schemas import Exemplar, LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.evaluation.challenge import score_challenge
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.inference.classifier import Classifier
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.text.boilerplate import Boilerplate
from pipeline.training.train import train_model
from tests.conftest import ROOT, THEMES

CHALLENGE = ROOT / "seeds/challenge.jsonl"
ROWS = read_jsonl(CHALLENGE, Exemplar)
DEV = [
    row for row in ROWS if challenge_part(row) == "dev"
]  # no model, not even a senseless one, is scored on the rest here


def test_the_set_is_large_and_hard_enough() -> None:
    for language in ("kk", "ru"):
        here = [row for row in ROWS if row.language == language]
        assert len(here) >= 160
        counts = Counter(theme for row in here for theme in row.themes)
        assert min(counts[theme] for theme in THEMES) >= 25
        assert sum(row.kind in ("near-miss", "combination") for row in here) >= 0.4 * len(here)
        assert len({row.by for row in here}) >= 2
    assert all(len(row.readings) == 1 for row in ROWS)


def test_each_author_is_in_both_parts_and_the_parts_do_not_move() -> None:
    parts = Counter((row.by, challenge_part(row)) for row in ROWS)
    assert len(parts) == 8
    assert min(parts.values()) >= 25
    assert Counter(challenge_part(row) for row in ROWS) == {"dev": 195, "final": 162}


def test_nothing_of_it_stands_in_gold_or_exemplars(rows: list[LabelledRow], labels: Labels) -> None:
    others = {row.id: row.text for row in rows}
    others |= {f"challenge {number}": row.text for number, row in enumerate(ROWS)}
    read_exemplars(CHALLENGE, labels, {row.id: row.text for row in rows})
    read_exemplars(ROOT / "seeds/exemplars.jsonl", labels, others)


def test_an_exemplar_like_a_challenge_row_is_refused(tmp_path: Path, labels: Labels) -> None:
    copied = {"language": "ru", "text": "Вчера " + ROWS[0].text, "asked": list(THEMES), "themes": [], "kind": "plain"}
    path = tmp_path / "exemplars.jsonl"
    path.write_text(json.dumps({**copied, "by": "me"}) + "\n")
    with pytest.raises(UserError, match=r"exemplars\.jsonl:1: shares .* with challenge 0; write it in other words"):
        read_exemplars(path, labels, {"challenge 0": ROWS[0].text})


def test_figures_are_those_of_the_models_own_thresholds(
    rows: list[LabelledRow], labels: Labels, tmp_path: Path
) -> None:
    """A threshold of 0 gives every theme to every row: precision is the share of positives, and all is false alarm."""
    setup = Setup(labels=labels, config=ROOT / "configs/tfidf.yaml", encoder=None, threads=1, seed=0)
    save_model_folder(
        tmp_path / "m", *train_model("tfidf", rows, setup, dict.fromkeys(THEMES, 0.0), 0.25), boilerplate()
    )
    settings = EvaluationSettings(level=0.9, resamples=50, seed=0, worst=5)
    report, mistakes, risks = score_challenge(Classifier.load(tmp_path / "m"), DEV, settings)
    assert report["rows"] == len(DEV) == 195
    assert report["figures"]["false_alarms"] == 1.0
    for theme in THEMES:
        share = sum(theme in row.themes for row in DEV) / len(DEV)
        assert report["figures"][f"precision/{theme}"] == round(share, 4)
        assert report["figures"][f"recall/{theme}"] == 1.0
    assert len(mistakes) == sum(len(row.themes) < len(THEMES) for row in DEV)
    assert report["intervals"]["all"]["too_narrow"]
    assert [risk["wrong"] for risk in risks if risk["slice"] == "all"][-1] == round(len(mistakes) / len(DEV), 4)


def boilerplate() -> Boilerplate:
    return load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)
