"""Thresholds that follow the scores they may see, and decisions at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipeline.classifiers.decision import (
    DecisionSettings,
    choose_thresholds,
    decide,
    decide_all,
    f1_at,
    lowest_undecided,
)
from pipeline.core.schemas import Labels

LABELS = Labels(task="multi-label", names=("a", "b"))
SINGLE = Labels(task="single-label", names=("a", "b"))
LIMITS = {"a": 0.5, "b": 0.3}


@pytest.mark.parametrize(
    ("scores", "themes", "undecided", "status"),
    [
        ((0.5, 0.1), ("a",), (), "classified"),
        ((0.46, 0.1), (), ("a",), "abstained"),
        ((0.46, 0.3), ("b",), ("a",), "classified"),
        ((0.4379, 0.251), (), ("a", "b"), "abstained"),
        ((0.4378, 0.25), (), (), "classified"),
        ((0.9, 0.9), ("a", "b"), (), "classified"),
    ],
)
def test_a_decision(
    scores: tuple[float, float], themes: tuple[str, ...], undecided: tuple[str, ...], status: str
) -> None:
    prediction = decide(scores, LABELS, LIMITS, 0.25)
    assert (prediction.themes, prediction.undecided, prediction.status) == (themes, undecided, status)
    assert prediction.scores == dict(zip("ab", scores, strict=True))


def test_a_single_label_decision_takes_the_best() -> None:
    assert decide((0.4, 0.6), SINGLE, {}, 0.25).themes == ("b",)
    assert decide((0.46, 0.54), SINGLE, {}, 0.25).undecided == ()
    near = decide((0.48, 0.52), SINGLE, {}, 0.25)
    assert (near.themes, near.undecided, near.status) == (("b",), ("a",), "classified")
    assert decide_all(np.array([[0.4, 0.6], [0.7, 0.3]]), np.zeros(2), SINGLE).tolist() == [
        [False, True],
        [True, False],
    ]


def test_a_band_is_as_wide_for_low_thresholds_as_they_are_low() -> None:
    """.05 below a threshold of .04 was every probability."""
    twenty = Labels(task="multi-label", names=tuple(f"topic {number}" for number in range(20)))
    limits = dict.fromkeys(twenty.names, 0.04)
    assert decide([0.01] * 20, twenty, limits, 0.25).undecided == ()
    assert decide([0.01] * 17 + [0.033, 0.04, 0.02], twenty, limits, 0.25).undecided == ("topic 17",)
    assert [lowest_undecided(limit, 0.25) for limit in (0.04, 0.24, 0.5, 0.9)] == pytest.approx(
        [0.0314, 0.1974, 0.4378, 0.8752], abs=1e-4
    )


def test_of_many_near_misses_the_three_nearest_are_named_in_the_order_of_the_labels() -> None:
    labels = Labels(task="multi-label", names=tuple("abcde"))
    limits = {"a": 0.5, "b": 0.1, "c": 0.5, "d": 0.1, "e": 0.5}
    said = decide([0.45, 0.095, 0.49, 0.082, 0.7], labels, limits, 0.25)
    assert (said.themes, said.undecided, said.status) == (("e",), ("a", "b", "c"), "classified")
    single = Labels(task="single-label", names=tuple("abcde"))
    said = decide([0.19, 0.21, 0.205, 0.2, 0.195], single, {}, 0.25)
    assert (said.themes, said.undecided) == (("b",), ("c", "d", "e"))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 3))
def test_what_is_undecided_lies_below_its_threshold(score: float, threshold: float, band: float) -> None:
    labels = Labels(task="multi-label", names=("a",))
    said = decide([score], labels, {"a": threshold}, band)
    assert not set(said.themes) & set(said.undecided)
    assert lowest_undecided(threshold, band) <= threshold
    if said.undecided:
        assert lowest_undecided(threshold, band) <= score < threshold


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_f1_at_every_threshold_is_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    values, truth = np.array([v for v, _ in pairs]), np.array([t for _, t in pairs])
    thresholds = np.array([0.0, 0.25, 0.5, 1.0])
    expected = [f1_score(truth, values >= t, zero_division=0.0) for t in thresholds]
    assert f1_at(values, truth, thresholds) == pytest.approx(expected)


def settings(shrink: float, tolerance: float = 0) -> DecisionSettings:
    return DecisionSettings(abstain_log_odds=0.25, f1_tolerance=tolerance, shrink=shrink)


def test_a_theme_takes_the_middle_of_its_best_plateau() -> None:
    scores = np.array([[0.1, 0.6], [0.2, 0.7], [0.8, 0.8], [0.9, 0.95]])
    targets = np.array([[0, 0], [0, 0], [1, 0], [1, 1]], dtype=bool)
    assert choose_thresholds(scores, targets, np.ones_like(targets), settings(0)) == pytest.approx([0.5, 0.875])


def test_of_thresholds_that_f1_hardly_tells_apart_the_highest_up_to_one_half_is_taken() -> None:
    """100 positives at .9, one at .3 with a negative below it: missing it costs .005 of F1."""
    scores = np.array([[0.9]] * 100 + [[0.3], [0.2]])
    targets = np.array([[True]] * 101 + [[False]])
    known = np.ones_like(targets)
    assert choose_thresholds(scores, targets, known, settings(0)) == pytest.approx([0.25])
    assert choose_thresholds(scores, targets, known, settings(0, 0.004)) == pytest.approx([0.25])
    assert choose_thresholds(scores - 0.2, targets, known, settings(0, 0.006)) == pytest.approx([0.4])
    assert choose_thresholds(scores, targets, known, settings(0, 0.006)) == pytest.approx([0.25])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(lambda x: any(t for _, t in x)),
    st.floats(0, 0.5),
)
def test_no_chosen_threshold_costs_more_f1_than_is_tolerated(pairs: list[tuple[float, bool]], slack: float) -> None:
    scores, targets = np.array([[v] for v, _ in pairs]), np.array([[t] for _, t in pairs])
    known = np.ones_like(targets)
    best, chosen = (choose_thresholds(scores, targets, known, settings(0, t)) for t in (0, slack))
    lost = f1_at(scores[:, 0], targets[:, 0], best) - f1_at(scores[:, 0], targets[:, 0], chosen)
    assert lost[0] <= slack + 1e-12
    assert chosen[0] >= best[0]
    assert chosen[0] <= max(best[0], 0.5)


def test_a_rare_theme_is_drawn_to_the_common_threshold() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((100, 2))
    targets = np.stack([scores[:, 0] > 0.4, scores[:, 1] > 0.99], axis=1)
    targets[:, 1] |= scores[:, 1] == scores[:, 1].max()
    known = np.ones_like(targets)
    own = choose_thresholds(scores, targets, known, settings(0))
    shrunk = choose_thresholds(scores, targets, known, settings(10))
    far = choose_thresholds(scores, targets, known, settings(1e9))
    assert own[1] > shrunk[1] > far[1]
    assert far[0] == pytest.approx(far[1], abs=1e-6)


def test_a_probability_of_0_is_neither_given_nor_undecided() -> None:
    labels = Labels(task="multi-label", names=("a", "b"))
    said = decide([0.0, 0.01], labels, {"a": 0.011, "b": 0.011}, 0.25)
    assert (said.themes, said.undecided) == ((), ("b",))
    assert decide([0.0, 0.01], labels, {"a": 0.0, "b": 0.0}, 0.25).themes == ("b",)
    assert decide_all(np.array([[0.0, 0.01]]), np.zeros(2), labels).tolist() == [[False, True]]
    single = Labels(task="single-label", names=("a", "b"))
    assert decide([0.0, 0.01], single, {"a": 0.5, "b": 0.5}, 0.25).undecided == ()


def test_unknown_cells_choose_nothing() -> None:
    scores = np.array([[0.2], [0.8], [0.9]])
    targets = np.array([[False], [True], [False]])
    known = np.array([[True], [True], [False]])
    assert choose_thresholds(scores, targets, known, settings(0)) == pytest.approx([0.5])


def test_a_theme_without_positives_takes_the_common_threshold() -> None:
    scores = np.array([[0.2, 0.1], [0.8, 0.9]])
    targets = np.array([[False, False], [True, False]])
    own = choose_thresholds(scores, targets, np.ones_like(targets), settings(0))
    assert own[1] == pytest.approx(own[0], abs=0.1)
    assert choose_thresholds(scores, np.zeros_like(targets), np.ones_like(targets), settings(0)).tolist() == [0.5, 0.5]
