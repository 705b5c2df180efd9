"""A theme with too few positives: what a model has not learnt it does not give, and nothing is measured of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from pipeline import Classifier
from pipeline.classifiers.base import Setup
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.classifiers.tfidf import Tfidf
from pipeline.commands.main import cli
from pipeline.core.schemas import FoldRow, LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.evaluation.evaluate import evaluate_model, join_settings
from pipeline.evaluation.thresholds import fit_thresholds
from pipeline.labelling.folds import SplitSettings, assign_folds
from pipeline.labelling.teaching import measured_themes, scarce_themes
from pipeline.text.boilerplate import Boilerplate
from pipeline.training.crossval import CrossvalSettings, cross_validate, plan_fits
from pipeline.training.train import train_model
from tests.conftest import ROOT, THEMES
from tests.training.test_crossval import DECISION, EVALUATION

FIVE = Labels(task="multi-label", names=(*THEMES, "youth"))
ASKED = "004_83efe2f806625967"
WHY = f"can't be learnt yet: 0 positives in article {ASKED}"
GOLD_ALONE = CrossvalSettings(seeds=[0], transfer=False, rules_as_teacher=False)


def with_youth(rows: list[LabelledRow], positives: int = 0) -> list[LabelledRow]:
    """A fifth theme, asked in one article, where its first paragraphs have it."""
    out, seen = [], 0
    for row in rows:
        asked = row.article == ASKED
        target = float(asked and seen < positives)
        seen += asked
        columns = {"targets": target, "weights": float(asked), "rule_targets": 0.0, "rule_weights": 0.0}
        added = {name: (*getattr(row, name), value) for name, value in columns.items()}
        out.append(msgspec.structs.replace(row, **added))
    return out


@pytest.fixture(scope="module")
def folds(rows: list[LabelledRow]) -> list[FoldRow]:
    return assign_folds(rows, SplitSettings(folds=5, leave_one_out_up_to=10, seed=0, exemplars=0.2))


def evaluated(rows: list[LabelledRow], folds: list[FoldRow], labels: Labels) -> tuple[np.ndarray, dict[str, Any], Any]:
    """Out-of-fold scores, the report and the thresholds of TF-IDF."""
    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    scores, _ = cross_validate(plan_fits(rows, folds, GOLD_ALONE, Tfidf), Tfidf, setup)
    measured, joined = measured_themes(rows, folds, labels), join_settings(rows, folds, scores, labels, DECISION)
    tables = {name: table.only(measured) for name, table in joined.items()}
    thresholds = fit_thresholds(rows, folds, scores, labels, DECISION)
    return np.array([each.scores for each in scores]), evaluate_model(tables, labels, EVALUATION), thresholds


def test_a_theme_without_positives_changes_no_figure_of_the_others(
    rows: list[LabelledRow], folds: list[FoldRow], labels: Labels
) -> None:
    """It had the score .5, so all fifteen rows were given it, and micro-F1 fell from .702 to .645."""
    (_, four, before), (scores, five, after) = evaluated(rows, folds, labels), evaluated(with_youth(rows), folds, FIVE)
    assert (scores[:, 4] == 0).all()
    assert five["measured"] == list(THEMES)
    assert {**five, "without_positives": {}} == {**four, "without_positives": {}}
    assert {name: after[name] for name in THEMES} == before


def test_positives_in_one_article_alone_are_not_measured(rows: list[LabelledRow], folds: list[FoldRow]) -> None:
    """The fold with all of them has learnt none: F1 would be 0 whatever the model, from 0 to 0."""
    several = with_youth(rows, 5)
    scores, report, thresholds = evaluated(several, folds, FIVE)
    assert (scores[[row.article == ASKED for row in several], 4] == 0).all()
    assert report["measured"] == list(THEMES)
    assert "f1/youth" not in {**report["figures"], **report["intervals"]["all"]}
    none = evaluated(with_youth(rows), folds, FIVE)[2]
    assert thresholds == none  # scores of a fold that has not learnt it choose nothing
    assert scarce_themes(several, FIVE, folds) == {
        "youth": f"can't be measured yet: 5 positives in article {ASKED}, too little elsewhere to learn it from"
    }


@pytest.mark.parametrize("positives", [0, 1])
def test_a_model_never_gives_what_it_has_not_learnt(positives: int, rows: list[LabelledRow], tmp_path: Path) -> None:
    setup = Setup(FIVE, ROOT / "configs/tfidf.yaml", None, 1, 0)
    learnt = with_youth(rows, positives)
    model, info = train_model("tfidf", learnt, setup, dict.fromkeys(FIVE.names, 0.03), 0.25)
    why = WHY.replace("0 positives", "1 positive") if positives else WHY
    assert (info.unlearnt, info.scarce) == (("youth",), {"youth": why})
    folder = tmp_path / "tfidf"
    save_model_folder(folder, model, info, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    assert f"\nyouth {why}, so it is never given.\n" in (folder / "README.md").read_text()
    assert "\n| youth | – | " in (folder / "README.md").read_text()
    classifier = Classifier.load(folder)
    texts = [row.text for row in rows]
    for said in [*classifier(texts), *classifier(texts, {"youth": 0.0})]:
        assert "youth" not in said.themes + said.undecided
        assert said.scores["youth"] == 0
    source = tmp_path / "n.jsonl"
    source.write_text(json.dumps({"text": "Жастар мектепке барды."}, ensure_ascii=False) + "\n")
    arguments = ["classify", str(source), "--unit", "paragraph", "--model", str(folder), "-o"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "o.jsonl"), "--summary", str(tmp_path / "s.json")])
    assert f"\nyouth {why}\n" in done.stderr
    assert json.loads((tmp_path / "s.json").read_text())["scarce"] == {"youth": why}
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "p.jsonl"), "--themes", "education"])
    assert "youth" not in done.stderr


def test_an_ordinary_model_folder_says_nothing_of_it(folder: Path) -> None:
    """So folders made before are read as they are, and new ones have the same bytes."""
    facts = json.loads((folder / "manifest.json").read_text())["facts"]
    assert not {"unlearnt", "scarce"} & facts.keys()
    assert set(facts["labels"]) == {"task", "names"}
