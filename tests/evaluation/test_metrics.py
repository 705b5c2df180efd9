"""Every figure against scikit-learn or a hand count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score, jaccard_score, precision_score, recall_score

from pipeline.evaluation.metrics import (
    ScoredTable,
    compute_metrics,
    count_decisions,
    macro_f1,
    macro_mean,
    reliability,
)

NAMES = ("a", "b", "c")


def scored(seed: int = 0, rows: int = 40, **values: Any) -> ScoredTable:
    rng = np.random.default_rng(seed)
    scores = rng.random((2, rows, 3))
    facts: dict[str, Any] = {
        "ids": np.array([str(n) for n in range(rows)]),
        "texts": np.array([f"digest {n}" for n in range(rows)]),
        "articles": np.array([f"art{n % 6}" for n in range(rows)]),
        "languages": np.array(["kk" if n % 2 else "ru" for n in range(rows)]),
        "targets": rng.random((rows, 3)) < (scores[0] + 0.3) / 2,
        "known": np.ones((rows, 3), dtype=bool),
        "scores": scores,
        "decisions": scores > 0.5,
    }
    return ScoredTable(**{**facts, **values})


@given(st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_figures_are_scikit_learns(seed: int) -> None:
    data = scored(seed)
    figures = compute_metrics(data, NAMES)
    each = [(data.targets, decisions) for decisions in data.decisions]

    def mean(function: Any, **options: Any) -> float:
        return float(np.mean([function(t, d, zero_division=0.0, **options) for t, d in each]))

    assert figures["f1_macro"] == pytest.approx(mean(f1_score, average="macro"), abs=1e-4)
    assert figures["f1_micro"] == pytest.approx(mean(f1_score, average="micro"), abs=1e-4)
    assert figures["precision/a"] == pytest.approx(
        mean(lambda t, d, **o: precision_score(t[:, 0], d[:, 0], **o)), abs=1e-4
    )
    assert figures["recall/b"] == pytest.approx(mean(lambda t, d, **o: recall_score(t[:, 1], d[:, 1], **o)), abs=1e-4)
    assert figures["jaccard"] == pytest.approx(
        np.mean([jaccard_score(t, d, average="samples", zero_division=1.0) for t, d in each]), abs=1e-4
    )
    assert figures["exact_match"] == pytest.approx(np.mean([(t == d).all(1).mean() for t, d in each]), abs=1e-4)
    assert figures["brier"] == pytest.approx(
        np.mean([brier_score_loss(data.targets[:, c], s[:, c]) for s in data.scores for c in range(3)]), abs=1e-4
    )


@given(st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_macro_f1_of_arrays_is_that_of_tables_and_scikit_learns(seed: int) -> None:
    data = scored(seed)
    f1 = macro_f1(data.targets, data.decisions[0])
    assert f1 == pytest.approx(f1_score(data.targets, data.decisions[0], average="macro", zero_division=0.0))
    known = np.random.default_rng(seed).random((40, 3)) < 0.7
    tables = count_decisions(scored(seed, known=known)).f1_macro()
    assert [macro_f1(data.targets, decisions, known) for decisions in data.decisions] == pytest.approx(tables)


def test_macro_f1_without_positives_is_nan() -> None:
    assert np.isnan(macro_f1(np.zeros((3, 2), bool), np.ones((3, 2), bool)))


def test_unknown_cells_count_nowhere() -> None:
    data = scored()
    known = data.known.copy()
    known[:20, 0] = False
    masked, rest = scored(known=known), data.where(np.arange(40) >= 20)
    assert compute_metrics(masked, NAMES)["f1/a"] == compute_metrics(rest, NAMES)["f1/a"]
    assert compute_metrics(masked, NAMES)["ap/a"] == compute_metrics(rest, NAMES)["ap/a"]
    assert compute_metrics(masked, NAMES)["f1/b"] == compute_metrics(data, NAMES)["f1/b"]


def test_a_theme_without_positives_is_left_out() -> None:
    targets = scored().targets.copy()
    targets[:, 2] = False
    figures = compute_metrics(scored(targets=targets), NAMES)
    assert "f1/c" not in figures
    assert "ap/c" not in figures
    assert figures["f1_macro"] == pytest.approx((figures["f1/a"] + figures["f1/b"]) / 2, abs=1e-4)


def test_perfect_probabilities_are_calibrated() -> None:
    targets = scored().targets
    perfect = scored(scores=np.stack([targets, targets]).astype(float), decisions=np.stack([targets, targets]))
    figures = compute_metrics(perfect, NAMES)
    assert (figures["brier"], figures["ece"], figures["f1_macro"], figures["ap_macro"]) == (0.0, 0.0, 1.0, 1.0)


def test_reliability_counts_every_cell() -> None:
    assert sum(size for _, _, size in reliability(scored())) == 2 * 40 * 3


def test_macro_of_nothing_is_nothing() -> None:
    assert np.isnan(macro_mean(np.array([[np.nan, np.nan]]))).all()
