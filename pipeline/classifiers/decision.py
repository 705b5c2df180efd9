"""Scores -> themes: thresholds chosen from out-of-fold scores, and the decision that applies them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from pipeline.core.arrays import Array, Mask
from pipeline.core.schemas import SINGLE_LABEL, Labels, Record
from pipeline.core.settings import NotNegative, Probability, Settings

HALF = 0.5
"""The highest threshold that is preferred (see `_highest_good`), and the one where no theme has a positive row."""


ROUNDING = 1e-4
"""Scores nearer than this are not told apart: another processor may put them the other way round."""


MOST_UNDECIDED = 3
"""Of more only the nearest to their thresholds are named. Of 1,000 texts with 20 topics one has a fourth, of our own
none a third; a longer list, of a hundred labels say, would tell no more than the scores do."""


class DecisionSettings(Settings, frozen=True):
    """Section `decision` of configs/pipeline.yaml."""

    abstain_log_odds: NotNegative
    f1_tolerance: Probability
    shrink: float


class Prediction(Record, frozen=True):
    """What a model says of one text; `scores` are probabilities in [0, 1] by theme, rounded to six digits."""

    themes: tuple[str, ...]
    undecided: tuple[str, ...]
    scores: dict[str, float]

    @property
    def status(self) -> Literal["classified", "abstained"]:
        """Abstained: no theme is given and at least one is undecided. No theme at all is an answer, too."""
        return "abstained" if self.undecided and not self.themes else "classified"


def decide(scores: Sequence[float], labels: Labels, thresholds: Mapping[str, float], band: float) -> Prediction:
    """Every theme at or over its threshold; those whose log-odds are within `band` below it are undecided.

    Of these at most the `MOST_UNDECIDED` nearest are named. A probability of 0 is that of a theme that was not learnt:
    it is neither given nor undecided, at any threshold. In a single-label task the best theme is taken, and its
    probability stands for the thresholds of the others.
    """
    said = {name: score for name, score in zip(labels.names, scores, strict=True) if score}
    if labels.task == SINGLE_LABEL:
        themes = [labels.names[int(np.argmax(scores))]]
        thresholds = dict.fromkeys(labels.names, max(scores))
    else:
        themes = [name for name, score in said.items() if score >= thresholds[name]]
    near = [name for name in said if name not in themes and said[name] >= lowest_undecided(thresholds[name], band)]
    nearest = sorted(near, key=lambda name: _log_odds(thresholds[name]) - _log_odds(said[name]))[:MOST_UNDECIDED]
    return Prediction(
        themes=tuple(themes),
        undecided=tuple(name for name in near if name in nearest),
        scores={name: round(score, 6) for name, score in zip(labels.names, scores, strict=True)},
    )


def lowest_undecided(threshold: float, band: float) -> float:
    """The probability whose log-odds lie `band` below those of the threshold: from there on a theme is undecided."""
    return min(threshold, 1 / (1 + math.exp(band - _log_odds(threshold))))


def _log_odds(probability: float) -> float:
    """Finite at 0 and 1, too: scores have six digits."""
    bounded = min(max(probability, 1e-7), 1 - 1e-7)
    return math.log(bounded / (1 - bounded))


def decide_all(scores: Array, thresholds: Array, labels: Labels) -> Mask:
    """The same for a matrix of scores (rows, themes), without the undecided: True where a theme is given."""
    if labels.task == SINGLE_LABEL:
        best: Mask = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        return best
    return np.asarray((scores >= thresholds) & (scores > 0))


def choose_thresholds(scores: Array, targets: Mask, known: Mask, settings: DecisionSettings) -> Array:
    """A threshold for each theme by F1 on the given scores, drawn towards the common one where positives are few.

    The common threshold is chosen by the mean F1 of all themes. All arrays are (rows, themes); cells that are not
    `known` don't count. A theme without positives takes the common threshold.
    """
    columns = [(scores[rows, c], targets[rows, c]) for c, rows in enumerate(known.T)]
    candidates = _candidates(np.concatenate([values for values, _ in columns]))
    curves = [f1_at(values, truth, candidates) for values, truth in columns if truth.any()]
    if not curves:
        return np.full(scores.shape[1], HALF)
    common = _highest_good(candidates, np.mean(curves, axis=0), settings.f1_tolerance)
    return np.array([_shrunk(values, truth, common, settings) for values, truth in columns])


def _shrunk(values: Array, truth: Mask, common: float, settings: DecisionSettings) -> float:
    """A theme's threshold: its own choice weighs n / (n + shrink), since few positives place it almost at random."""
    positives = int(truth.sum())
    if not positives:
        return common
    candidates = _candidates(values)
    own = _highest_good(candidates, f1_at(values, truth, candidates), settings.f1_tolerance)
    return (positives * own + settings.shrink * common) / (positives + settings.shrink)


def _candidates(values: Array) -> Array:
    """Every threshold that tells two scores apart: midpoints of those over `ROUNDING` apart, and one below them all."""
    distinct = np.unique(values)
    apart = np.diff(distinct) > ROUNDING
    return np.concatenate([distinct[:1] / 2, (distinct[1:] + distinct[:-1])[apart] / 2])


def _highest_good(candidates: Array, f1: Array, tolerance: float) -> float:
    """The highest candidate whose F1 is within `tolerance` of the best; over one half only if it is the best itself.

    Where a model tells its rows well apart, F1 is flat (from .15 to .5 it changes by .01) and its best point a matter
    of luck; on news, where more is nearly a theme, the lower end gives 23% false alarms for 14%. On calibrated
    probabilities the best threshold is half the best F1, so never over one half (Lipton et al., 2014, arXiv:1402.1892).
    """
    good = candidates[(f1 >= f1.max() - tolerance) & (candidates <= HALF)]
    return float(max(good.max(initial=0), candidates[f1.argmax()]))


def f1_at(values: Array, truth: Mask, thresholds: Array) -> Array:
    """F1 of `values >= threshold` for each threshold; 0 where nothing is found. `values` and `truth` are (rows,)."""
    order = np.argsort(values)
    sorted_values, sorted_truth = values[order], truth[order]
    below = np.searchsorted(sorted_values, thresholds, side="left")
    positives = sorted_truth.sum()
    tp = positives - np.concatenate([[0], np.cumsum(sorted_truth)])[below]
    given = len(values) - below
    f1: Array = 2 * tp / np.maximum(given + positives, 1)
    return f1
