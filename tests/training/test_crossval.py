"""No model sees what it scores, and no threshold is chosen on what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from pipeline.classifiers.base import Epoch, Setup
from pipeline.classifiers.decision import DecisionSettings
from pipeline.classifiers.tfidf import Tfidf
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.schemas import FoldRow, LabelledRow, Labels, Scores
from pipeline.evaluation.evaluate import EvaluationSettings, evaluate_model, headlines, join_settings
from pipeline.evaluation.plot_data import plot_data, worst_errors
from pipeline.evaluation.thresholds import fit_thresholds
from pipeline.labelling.folds import SplitSettings, assign_folds
from pipeline.training.crossval import CrossvalSettings, cross_validate, plan_fits
from tests.conftest import ROOT

EVERYTHING = CrossvalSettings(seeds=[0, 1], transfer=True, rules_as_teacher=True)
DECISION = DecisionSettings(abstain_log_odds=0.25, f1_tolerance=0.01, shrink=10)
EVALUATION = EvaluationSettings(level=0.9, resamples=200, seed=0, worst=2)


class Seeded(Tfidf):
    seeded: ClassVar[bool] = True


@pytest.fixture(scope="module")
def folds(rows: list[LabelledRow]) -> list[FoldRow]:
    return assign_folds(rows, SplitSettings(folds=5, leave_one_out_up_to=10, seed=0, exemplars=0.2))


def test_no_fit_sees_an_article_that_it_scores(rows: list[LabelledRow], folds: list[FoldRow]) -> None:
    fits = plan_fits(rows, folds, EVERYTHING, Seeded)
    counts = {s: sum(fit.setting == s for fit in fits) for s in ("gold", "rules", "transfer:kk", "transfer:ru")}
    assert counts == {"gold": 10, "rules": 5, "transfer:kk": 1, "transfer:ru": 1}
    for fit in fits:
        assert not {row.article for row in fit.training} & {row.article for row in fit.held_out}
    for seed in (0, 1):
        scored = [row.id for fit in fits if fit.setting == "gold" and fit.seed == seed for row in fit.held_out]
        assert sorted(scored) == sorted(row.id for row in rows)


def test_exemplars_train_in_every_fold_or_in_none_and_are_no_part_of_the_figures(
    rows: list[LabelledRow], labels: Labels
) -> None:
    base = msgspec.structs.replace(rows[0], provenance="exemplar")
    written = [msgspec.structs.replace(base, id=f"x-{n}", article=f"x-{n}", text=f"{n} мектеп") for n in range(40)]
    several = [*rows, *written]
    folds = assign_folds(several, SplitSettings(folds=5, leave_one_out_up_to=10, seed=0, exemplars=0.2))
    choosing = {fold.article for fold in folds if fold.role == "dev"}
    assert 2 <= len(choosing) <= 16
    fits = [fit for fit in plan_fits(several, folds, EVERYTHING, Tfidf) if fit.setting == "gold"]
    for fit in fits:
        assert {row.id for row in fit.training if row.provenance == "exemplar"} == {x.id for x in written} - choosing
    scored = [row.id for fit in fits for row in fit.held_out]
    assert sorted(scored) == sorted([*(row.id for row in rows), *choosing])
    scores = [
        Scores(id=row.id, setting="gold", seed=0, fold=fit.fold, scores=row.targets)
        for fit in fits
        for row in fit.held_out
    ]
    assert set(join_settings(several, folds, scores, labels, DECISION)["gold"].ids) == {row.id for row in rows}


def test_rules_as_teacher_forget_gold_and_keep_exemplars(rows: list[LabelledRow], folds: list[FoldRow]) -> None:
    written = msgspec.structs.replace(rows[0], id="written", article="written", provenance="exemplar")
    assert written.targets != written.rule_targets
    places = [*folds, FoldRow(article="written", fold=None, role="train")]
    taught = [fit for fit in plan_fits([*rows, written], places, EVERYTHING, Tfidf) if fit.setting == "rules"]
    assert taught
    for fit in taught:
        articles = [row for row in fit.training if row.provenance != "exemplar"]
        assert all(row.targets == row.rule_targets and row.weights == row.rule_weights for row in articles)
        assert [row for row in fit.training if row.provenance == "exemplar"] == [written]


def test_transfer_learns_from_one_language_only(rows: list[LabelledRow], folds: list[FoldRow]) -> None:
    (fit,) = [fit for fit in plan_fits(rows, folds, EVERYTHING, Tfidf) if fit.setting == "transfer:ru"]
    assert {row.language for row in fit.training} == {"ru"}
    assert {row.language for row in fit.held_out} == {"kk"}


def test_a_given_split_trains_on_train_and_scores_dev_and_test(rows: list[LabelledRow]) -> None:
    articles = sorted({row.article for row in rows})
    splits = dict(zip(articles, ("train", "train", "train", "dev", "test"), strict=True))
    given = [msgspec.structs.replace(row, split=splits[row.article]) for row in rows]
    folds = assign_folds(given, SplitSettings(folds=5, leave_one_out_up_to=10, seed=0, exemplars=0.2))
    (fit,) = plan_fits(given, folds, CrossvalSettings(seeds=[0], transfer=False, rules_as_teacher=False), Tfidf)
    assert {row.split for row in fit.training} == {"train"}
    assert {row.split for row in fit.held_out} == {"dev", "test"}


class Known(Tfidf):
    """Scores that are known beforehand, in place of a model."""

    answers: ClassVar[dict[str, tuple[float, ...]]] = {}
    learns: ClassVar[bool] = False

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        return [Epoch(number=1, loss=0.5, held_out_loss=0.7)]

    def predict(self, texts: Sequence[str]) -> Array:
        return np.array([self.answers[text] for text in texts])


@pytest.fixture(scope="module")
def measured(rows: list[LabelledRow], folds: list[FoldRow], labels: Labels) -> dict[str, Any]:
    """Gold itself as scores, but for one paragraph whose every theme is taken for its contrary."""
    Known.answers = {row.text: row.targets for row in rows}
    wrong = rows[0]
    Known.answers[wrong.text] = tuple(1 - target for target in wrong.targets)
    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    settings = CrossvalSettings(seeds=[0], transfer=False, rules_as_teacher=False)
    scores, curve = cross_validate(plan_fits(rows, folds, settings, Known), Known, setup)
    parts = join_settings(rows, folds, scores, labels, DECISION)
    return {"scores": scores, "curve": curve, "parts": parts, "report": evaluate_model(parts, labels, EVALUATION)}


def test_every_gold_row_is_scored_once(measured: dict[str, Any], rows: list[LabelledRow]) -> None:
    assert sorted(score.id for score in measured["scores"]) == sorted(row.id for row in rows)
    assert [(point.fold, point.loss, point.held_out_loss) for point in measured["curve"]] == [
        (fold, 0.5, 0.7) for fold in range(5)
    ]


def test_the_report_counts_right(measured: dict[str, Any], rows: list[LabelledRow], labels: Labels) -> None:
    report = measured["report"]
    positives = [sum(row.targets[column] for row in rows) for column in range(4)]
    wrong = rows[0].targets
    for name, n, target in zip(labels.names, positives, wrong, strict=True):
        f1 = 2 * (n - target) / (2 * (n - target) + 1)
        assert report["figures"][f"f1/{name}"] == pytest.approx(f1, abs=1e-4)
    assert report["figures"]["exact_match"] == pytest.approx(64 / 65, abs=1e-4)
    assert (report["rows"], report["articles"]) == (65, 5)
    assert report["languages"]["kk"]["f1_macro"] == 1.0
    assert report["gap"] == pytest.approx(1 - report["languages"]["ru"]["f1_macro"], abs=1e-4)


def test_intervals_say_when_they_are_too_narrow(measured: dict[str, Any]) -> None:
    intervals = measured["report"]["intervals"]
    assert (intervals["all"]["too_narrow"], intervals["kk"]["too_narrow"]) == (False, True)
    low, high = intervals["all"]["f1_macro"]
    assert low <= measured["report"]["figures"]["f1_macro"] <= high


def test_headlines_are_at_most_twenty(measured: dict[str, Any], labels: Labels) -> None:
    numbers = headlines(measured["report"], labels)
    assert len(numbers) <= 20
    assert list(numbers)[:3] == ["f1_macro", "f1_macro_low", "f1_macro_high"]
    assert {"f1/education", "f1_macro/kk", "f1_macro_gap"} <= set(numbers)


def test_pictures_and_mistakes_show_the_wrong_row(
    measured: dict[str, Any], rows: list[LabelledRow], labels: Labels
) -> None:
    drawn = plot_data("known", measured["parts"], measured["report"], labels, measured["curve"])
    assert set(drawn) == {"precision_recall", "reliability", "risk_coverage", "themes", "confusion", "loss"}
    wrong = [point["wrong"] for point in drawn["risk_coverage"] if point["slice"] == "all"]
    assert wrong[-1] == round(1 / len(rows), 4)
    assert drawn["loss"] == [{"model": "known", "epoch": 1, "training": 0.5, "held_out": 0.7}]
    off_diagonal = [pair for pair in drawn["confusion"] if pair["actual"] != pair["predicted"]]
    assert off_diagonal and all(pair["actual"] != "none" != pair["predicted"] for pair in off_diagonal)
    mistakes = worst_errors(measured["parts"]["gold"], rows, labels.names, 2)
    assert {mistake["id"] for mistake in mistakes} == {rows[0].id}
    assert {m["theme"]: m["mistake"] for m in mistakes} == {
        name: "missed" if target else "spurious" for name, target in zip(labels.names, rows[0].targets, strict=True)
    }


def test_a_threshold_never_sees_the_article_it_decides() -> None:
    """Article b's scores lie elsewhere than a's: decided by a's threshold b fails, though its own would be perfect."""
    labels = Labels(task="multi-label", names=("x",))
    fact: dict[str, Any] = {"language": "kk", "kind": "body", "text": "т", "weights": (1.0,), "provenance": "gold"}
    fact |= {"rule_targets": (0.0,), "rule_weights": (0.0,)}
    values = {"a": ((0.8, 1.0), (0.6, 0.0)), "b": ((0.3, 1.0), (0.1, 0.0))}
    rows, scores = [], []
    for fold, (article, pairs) in enumerate(values.items()):
        for number, (score, target) in enumerate(pairs):
            id_ = f"{article}-{number}"
            rows.append(LabelledRow(id=id_, article=article, targets=(target,), **fact))
            scores.append(Scores(id=id_, setting="gold", seed=0, fold=fold, scores=(score,)))
    folds = [FoldRow(article="a", fold=0, role="test"), FoldRow(article="b", fold=1, role="test")]
    exact = DecisionSettings(abstain_log_odds=0, f1_tolerance=0, shrink=0)
    decisions = join_settings(rows, folds, scores, labels, exact)["gold"].decisions
    assert decisions[0, :, 0].tolist() == [True, True, False, False]


def test_shipped_thresholds_are_for_every_theme(
    measured: dict[str, Any], rows: list[LabelledRow], folds: list[FoldRow], labels: Labels
) -> None:
    chosen = fit_thresholds(rows, folds, measured["scores"], labels, DECISION)
    assert list(chosen) == list(labels.names)
    assert all(0 < value < 1 for value in chosen.values())


def test_nothing_to_learn_from_is_said(rows: list[LabelledRow], folds: list[FoldRow], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"crossval\.seeds: empty"):
        plan_fits(rows, folds, CrossvalSettings(seeds=[], transfer=False, rules_as_teacher=False), Tfidf)
    two = [row for row in rows if row.article.startswith(("000", "001"))]
    unknown = {"weights": (0.0,) * 4, "rule_weights": (0.0,) * 4}
    bare = [msgspec.structs.replace(row, **unknown) if row.article.startswith("001") else row for row in two]
    settings = CrossvalSettings(seeds=[0], transfer=False, rules_as_teacher=False)
    with pytest.raises(UserError, match="fold 0: no labelled row to learn from"):
        plan_fits(bare, folds, settings, Tfidf)
