"""Scores -> themes: thresholds chosen from out-of-fold scores, and the decision that applies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.core.arrays import Array, Mask
from pipeline.core.schemas import SINGLE_LABEL, Labels, Record
from pipeline.core.settings import Probability, Settings

HALF = 0.5


class DecisionSettings(Settings, frozen=True):
    """Section `decision` of configs/pipeline.yaml."""

    abstain_band: Probability
    f1_tolerance: Probability
    shrink: float


class Decision(Record, frozen=True):
    """What a paragraph's scores come to: see docs/design in the README of a model folder."""

    themes: tuple[str, ...]
    undecided: tuple[str, ...]
    abstained: bool


def decide(scores: Sequence[float], labels: Labels, thresholds: Mapping[str, float], band: float) -> Decision:
    """Every theme at or over its threshold; those within `band` below it are undecided.

    A paragraph is abstained on only when nothing is over its threshold and something is undecided. In a single-label
    task the best theme is taken; the runner-up within `band` of it is undecided.
    """
    if labels.task == SINGLE_LABEL:
        best = max(range(len(scores)), key=lambda column: scores[column])
        near = [c for c in range(len(scores)) if c != best and scores[c] >= scores[best] - band]
        return Decision(themes=(labels.names[best],), undecided=tuple(labels.names[c] for c in near), abstained=False)
    themes, undecided = [], []
    for name, score in zip(labels.names, scores, strict=True):
        if score >= thresholds[name]:
            themes.append(name)
        elif score >= thresholds[name] - band:
            undecided.append(name)
    return Decision(themes=tuple(themes), undecided=tuple(undecided), abstained=not themes and bool(undecided))


def decide_all(scores: Array, thresholds: Array, labels: Labels) -> Mask:
    """The same for a matrix of scores (rows, themes), without the undecided: True where a theme is given."""
    if labels.task == SINGLE_LABEL:
        best: Mask = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        return best
    return scores >= thresholds


def choose_thresholds(scores: Array, targets: Mask, known: Mask, settings: DecisionSettings) -> Array:
    """A threshold a theme by F1 on the given scores, drawn towards the common one where positives are few.

    With n positives a theme's own choice counts n / (n + shrink): a handful of positives places it almost at random.
    The common threshold is chosen by the mean F1 of all themes. All arrays are (rows, themes); cells that are not
    `known` don't count. A theme without positives takes the common threshold.
    """
    columns = range(scores.shape[1])
    cells = [(scores[known[:, c], c], targets[known[:, c], c]) for c in columns]
    candidates = _candidates(np.concatenate([values for values, _ in cells]))
    curves = [f1_at(values, truth, candidates) for values, truth in cells if truth.any()]
    if not curves:
        return np.full(scores.shape[1], HALF)
    common = _cautious(candidates, np.mean(curves, axis=0), settings.f1_tolerance)
    return np.array([_shrunk(values, truth, common, settings) for values, truth in cells])


def _shrunk(values: Array, truth: Mask, common: float, settings: DecisionSettings) -> float:
    positives = int(truth.sum())
    if not positives:
        return common
    candidates = _candidates(values)
    own = _cautious(candidates, f1_at(values, truth, candidates), settings.f1_tolerance)
    return (positives * own + settings.shrink * common) / (positives + settings.shrink)


def _candidates(values: Array) -> Array:
    """Every threshold that tells two scores apart: the midpoints, and one below all of them."""
    distinct = np.unique(values)
    return np.concatenate([distinct[:1] / 2, (distinct[1:] + distinct[:-1]) / 2])


def _cautious(candidates: Array, f1: Array, tolerance: float) -> float:
    """The highest candidate whose F1 is within `tolerance` of the best; over one half only if it is the best itself.

    Where a model tells its rows well apart, F1 is flat (from .15 to .5 it changes by .01) and its best point a matter
    of luck; on news, where more is nearly a theme, the lower end gives 23% false alarms for 14%. On calibrated
    probabilities the best threshold is half the best F1, so never over one half (Lipton et al., 2014, arXiv:1402.1892).
    """
    good = candidates[(f1 >= f1.max() - tolerance) & (candidates <= HALF)]
    return float(max(good.max(initial=0), candidates[f1.argmax()]))


def f1_at(values: Array, truth: Mask, thresholds: Array) -> Array:
    """F1 of `values >= threshold` for each threshold; 0 where nothing is found."""
    order = np.argsort(values)
    sorted_values, hits = values[order], truth[order]
    first = np.searchsorted(sorted_values, thresholds, side="left")
    right_above = hits.sum() - np.concatenate([[0], np.cumsum(hits)])[first]
    given = len(values) - first
    f1: Array = 2 * right_above / np.maximum(given + hits.sum(), 1)
    return f1
