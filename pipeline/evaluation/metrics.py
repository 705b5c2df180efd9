"""Measures of themes against gold, one vocabulary everywhere: `f1_macro`, `f1/<theme>`, `f1_macro/<language>`.

Arrays have the axes (seeds, rows, themes) for scores and decisions and (rows, themes) for gold; a cell that is not
`known` counts nowhere. Every figure is the mean over seeds of the figure pooled over all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from pipeline.core.arrays import Array, Mask
from pipeline.core.schemas import ScoredRow

BINS = 10
"""Of the reliability diagram and the calibration error: the 260 cells of gold (65 rows, 4 themes) leave 26 to a bin."""


@dataclass(frozen=True)
class ScoredTable:
    """Gold rows with what a model says of them: the fields of `ScoredRow` in the same order, each an array.

    The first four are strings, one a row; `targets` and `known` are (rows, themes), `scores` (from 0 to 1) and
    `decisions` (seeds, rows, themes).
    """

    ids: NDArray[np.str_]
    texts: NDArray[np.str_]
    articles: NDArray[np.str_]
    languages: NDArray[np.str_]
    targets: Mask
    known: Mask
    scores: Array
    decisions: Mask

    def where(self, rows: Mask | NDArray[np.int64]) -> ScoredTable:
        """The rows that `rows` selects, by mask or by index."""
        columns = vars(self).values()
        return ScoredTable(*(column[:, rows] if column.ndim == 3 else column[rows] for column in columns))

    def only(self, themes: Mask) -> ScoredTable:
        """The same rows, of which only these themes are known."""
        return replace(self, known=self.known & themes)

    def slices(self) -> dict[str, ScoredTable]:
        """The whole table as `all`, then each language's rows under its name."""
        languages = sorted(set(self.languages.tolist()))
        return {"all": self, **{language: self.where(self.languages == language) for language in languages}}

    def exact(self) -> Mask:
        """Whether a row's every known theme is decided right, shape (seeds, rows)."""
        return np.asarray(((self.decisions == self.targets) | ~self.known).all(axis=2))

    @classmethod
    def from_rows(cls, rows: Sequence[ScoredRow]) -> ScoredTable:
        """The table of these rows."""
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
        return cls(*(_swap_seeds(np.array(column)) for column in columns))

    def to_rows(self) -> list[ScoredRow]:
        """The table as rows, ready to be written."""
        columns = [_swap_seeds(column).tolist() for column in vars(self).values()]
        fields = ScoredRow.__struct_fields__
        return [msgspec.convert(dict(zip(fields, row, strict=True)), ScoredRow) for row in zip(*columns, strict=True)]


def _swap_seeds(column: NDArray[Any]) -> NDArray[Any]:
    """(seeds, rows, themes) to (rows, seeds, themes) and back; a column without seeds has fewer axes and stays."""
    return column.swapaxes(0, 1) if column.ndim == 3 else column


@dataclass(frozen=True)
class ConfusionCounts:
    """True positives, false positives and false negatives, arrays of one shape; the last axis is the theme."""

    tp: Array
    fp: Array
    fn: Array

    def f1(self) -> Array:
        """F1 of each theme; NaN where the theme has no positives (so also no recall) in the slice."""
        return self._ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def precision(self) -> Array:
        """Precision of each theme; 0 where the theme is never given, NaN where it has no positives."""
        return self._ratio(self.tp, self.tp + self.fp)

    def recall(self) -> Array:
        """Recall of each theme; NaN where it has no positives."""
        return self._ratio(self.tp, self.tp + self.fn)

    def f1_macro(self) -> Array:
        """The mean F1 of the themes that have positives; NaN where none has. The axis of themes is gone."""
        return macro_mean(self.f1())

    def f1_micro(self) -> Array:
        """F1 over all decisions of all themes at once. The axis of themes is gone."""
        return ConfusionCounts(self.tp.sum(-1), self.fp.sum(-1), self.fn.sum(-1)).f1()

    def _ratio(self, above: Array, below: Array) -> Array:
        return np.asarray(np.where(self.tp + self.fn > 0, above / np.maximum(below, 1e-12), np.nan))


def count_decisions(scored: ScoredTable, weights: Iterable[Array] | None = None) -> ConfusionCounts:
    """Counts of shape (seeds, themes), or with `weights`, in blocks (samples, rows), (samples, seeds, themes)."""
    cells = _confusion_cells(scored.targets, scored.decisions, scored.known)
    if weights is None:
        return ConfusionCounts(*(cell.sum(axis=1) for cell in cells))
    by_row = np.stack(cells).transpose(2, 0, 1, 3)  # (rows, counts, seeds, themes): one product a block
    columns = by_row.reshape(len(by_row), -1)
    sums = [block @ columns for block in weights]
    return ConfusionCounts(*np.concatenate(sums).reshape(-1, *by_row.shape[1:]).swapaxes(0, 1))


def macro_f1(targets: Mask, decisions: Mask, known: Mask | None = None) -> float:
    """Macro-F1 from 0 to 1 of arrays of shape (rows, themes), themes without positives left out; NaN if all are.

    Cells that are not `known` don't count; by default all are known.
    """
    cells = _confusion_cells(targets, decisions, np.ones_like(targets) if known is None else known)
    return float(ConfusionCounts(*(cell.sum(axis=0) for cell in cells)).f1_macro())


def _confusion_cells(targets: Mask, decisions: Mask, known: Mask) -> tuple[Array, Array, Array]:
    """1 where a cell is a true positive, a false positive, a false negative."""
    gold, given = targets & known, decisions & known
    return (given & gold).astype(float), (given & ~gold).astype(float), (~given & gold).astype(float)


def macro_mean(per_theme: Array) -> Array:
    """The mean over themes that have positives; NaN where none has."""
    count = (~np.isnan(per_theme)).sum(-1)
    return np.asarray(np.where(count, np.nansum(per_theme, axis=-1) / np.maximum(count, 1), np.nan))


def compute_metrics(scored: ScoredTable, names: tuple[str, ...]) -> dict[str, float]:
    """All figures of a slice, to four digits, by name: none where nothing is known.

    A theme without positives has none of its own in it.
    """
    if not scored.known.any():
        return {}
    counts, precisions = count_decisions(scored), average_precisions(scored)
    per_theme = {"precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1(), "ap": precisions}
    figures = {
        "f1_macro": counts.f1_macro().mean(),
        "f1_micro": counts.f1_micro().mean(),
        "ap_macro": macro_mean(precisions).mean(),
        "exact_match": scored.exact().mean(),
        "jaccard": _jaccard(scored),
        "brier": ((scored.scores - scored.targets) ** 2)[:, scored.known].mean(),
        "ece": expected_calibration_error(scored),
    }
    for figure, values in per_theme.items():
        for name, value in zip(names, values.mean(axis=0), strict=True):
            figures[f"{figure}/{name}"] = value
    return {name: round(float(value), 4) for name, value in figures.items() if not np.isnan(value)}


def average_precisions(scored: ScoredTable) -> Array:
    """Average precision of shape (seeds, themes); NaN where a theme has no positives."""
    out = np.full((scored.scores.shape[0], scored.scores.shape[2]), np.nan)
    for column in range(out.shape[1]):
        known = scored.known[:, column]
        truth = scored.targets[known, column]
        if truth.any():
            out[:, column] = [average_precision_score(truth, seed[known, column]) for seed in scored.scores]
    return out


def _jaccard(scored: ScoredTable) -> float:
    """Intersection over union of the theme sets, averaged over rows; two empty sets agree fully."""
    gold, given = scored.targets & scored.known, scored.decisions & scored.known
    union = (given | gold).sum(axis=2)
    return float(np.where(union, (given & gold).sum(axis=2) / np.maximum(union, 1), 1.0).mean())


def reliability(scored: ScoredTable) -> list[tuple[float, float, int]]:
    """Mean probability, share of positives and size of ten bins of equal width, empty ones left out."""
    scores = scored.scores[:, scored.known].ravel()
    truth = np.tile(scored.targets[scored.known], scored.scores.shape[0])
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    filled = [bins == number for number in range(BINS) if (bins == number).any()]
    return [(float(scores[here].mean()), float(truth[here].mean()), int(here.sum())) for here in filled]


def expected_calibration_error(scored: ScoredTable) -> float:
    """Mean distance of probability and share of positives, weighted by the bins' sizes (Guo et al. 2017)."""
    bins = reliability(scored)
    return sum(size * abs(mean - share) for mean, share, size in bins) / max(1, sum(size for _, _, size in bins))
