"""Measures of themes against gold, one vocabulary everywhere: `f1_macro`, `f1/<theme>`, `f1_macro/<language>`.

Arrays have the axes (seeds, rows, themes) for scores and decisions and (rows, themes) for gold; a cell that is not
`known` counts nowhere. Every figure is the mean over seeds of the figure pooled over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from pipeline.core.arrays import Array, Mask
from pipeline.core.schemas import ScoredRow

BINS = 10


@dataclass(frozen=True)
class ScoredTable:
    """Gold rows with what a model says of them. `articles` and `languages` are arrays of strings, one a row."""

    ids: NDArray[np.str_]
    articles: NDArray[np.str_]
    languages: NDArray[np.str_]
    targets: Mask
    known: Mask
    scores: Array
    decisions: Mask

    def seed(self, number: int) -> ScoredTable:
        """The same rows with the scores and decisions of one seed alone."""
        one = slice(number, number + 1)
        return replace(self, scores=self.scores[one], decisions=self.decisions[one])

    def where(self, rows: Mask | NDArray[np.int64]) -> ScoredTable:
        """The rows that `rows` selects, by mask or by index."""
        return ScoredTable(
            ids=self.ids[rows],
            articles=self.articles[rows],
            languages=self.languages[rows],
            targets=self.targets[rows],
            known=self.known[rows],
            scores=self.scores[:, rows],
            decisions=self.decisions[:, rows],
        )

    @classmethod
    def of(cls, rows: Sequence[ScoredRow]) -> ScoredTable:
        """The table of these rows."""
        return cls(
            ids=np.array([row.id for row in rows]),
            articles=np.array([row.article for row in rows]),
            languages=np.array([row.language for row in rows]),
            targets=np.array([row.targets for row in rows]),
            known=np.array([row.known for row in rows]),
            scores=np.array([row.scores for row in rows]).swapaxes(0, 1),
            decisions=np.array([row.decisions for row in rows]).swapaxes(0, 1),
        )

    def rows(self, texts: Mapping[str, str]) -> list[ScoredRow]:
        """The table as rows; `texts` gives the digest of each row's text by id."""
        columns = zip(
            self.ids.tolist(),
            self.articles.tolist(),
            self.languages.tolist(),
            self.targets.tolist(),
            self.known.tolist(),
            self.scores.swapaxes(0, 1).tolist(),
            self.decisions.swapaxes(0, 1).tolist(),
            strict=True,
        )
        return [
            ScoredRow(
                id=id_,
                text=texts[id_],
                article=article,
                language=language,
                targets=tuple(targets),
                known=tuple(known),
                scores=tuple(map(tuple, scores)),
                decisions=tuple(map(tuple, decisions)),
            )
            for id_, article, language, targets, known, scores, decisions in columns
        ]


@dataclass(frozen=True)
class ConfusionCounts:
    """Right, spurious and missed decisions; the last axis is the theme."""

    right: Array
    spurious: Array
    missed: Array

    def f1(self) -> Array:
        """F1 a theme; NaN where the theme has no positives (so also no recall) in the slice."""
        return _ratio(2 * self.right, 2 * self.right + self.spurious + self.missed, self.right + self.missed)

    def precision(self) -> Array:
        """Precision a theme; 0 where the theme is never given, NaN where it has no positives."""
        return _ratio(self.right, self.right + self.spurious, self.right + self.missed)

    def recall(self) -> Array:
        """Recall a theme; NaN where it has no positives."""
        return _ratio(self.right, self.right + self.missed, self.right + self.missed)

    def f1_micro(self) -> Array:
        """F1 over all decisions of all themes at once."""
        pooled = ConfusionCounts(*(part.sum(-1) for part in (self.right, self.spurious, self.missed)))
        return pooled.f1()


def _ratio(above: Array, below: Array, positives: Array) -> Array:
    ratio: Array = np.where(positives > 0, above / np.maximum(below, 1e-12), np.nan)
    return ratio


def count_decisions(scored: ScoredTable, weights: Array | None = None) -> ConfusionCounts:
    """Counts of shape (seeds, themes), or with `weights` (samples, rows) of shape (samples, seeds, themes)."""
    gold, given = scored.targets & scored.known, scored.decisions & scored.known
    cells = (given & gold, given & ~gold, ~given & gold)
    if weights is None:
        return ConfusionCounts(*(cell.sum(axis=1).astype(float) for cell in cells))
    return ConfusionCounts(*(np.einsum("bn,snl->bsl", weights, cell.astype(float), optimize=True) for cell in cells))


def macro_f1(targets: Mask, decisions: Mask, known: Mask | None = None) -> float:
    """Macro-F1 from 0 to 1 of arrays of shape (rows, themes), themes without positives left out; NaN if all are.

    Cells that are not `known` don't count; by default all are known.
    """
    known = np.ones_like(targets) if known is None else known
    gold, given = targets & known, decisions & known
    cells = (given & gold, given & ~gold, ~given & gold)
    return float(macro_mean(ConfusionCounts(*(cell.sum(axis=0).astype(float) for cell in cells)).f1()))


def macro_mean(per_theme: Array) -> Array:
    """The mean over themes that have positives; NaN where none has."""
    found = ~np.isnan(per_theme)
    total = np.where(found, per_theme, 0.0).sum(-1)
    mean: Array = np.where(found.any(-1), total / np.maximum(found.sum(-1), 1), np.nan)
    return mean


def compute_metrics(scored: ScoredTable, names: tuple[str, ...]) -> dict[str, float]:
    """All figures of a slice. A theme without positives in it has none, and is left out of the macro figures."""
    counts = count_decisions(scored)
    precisions = average_precisions(scored)
    per_theme = {"precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1(), "ap": precisions}
    figures = {
        "f1_macro": macro_mean(counts.f1()).mean(),
        "f1_micro": counts.f1_micro().mean(),
        "ap_macro": macro_mean(precisions).mean(),
        "exact_match": _exact_match(scored),
        "jaccard": _jaccard(scored),
        "brier": _brier(scored),
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


def _exact_match(scored: ScoredTable) -> float:
    same = (scored.decisions == scored.targets) | ~scored.known
    return float(same.all(axis=2).mean())


def _jaccard(scored: ScoredTable) -> float:
    """Intersection over union of the theme sets, averaged over rows; two empty sets agree fully."""
    gold, given = scored.targets & scored.known, scored.decisions & scored.known
    union = (given | gold).sum(axis=2)
    return float(np.where(union, (given & gold).sum(axis=2) / np.maximum(union, 1), 1.0).mean())


def _brier(scored: ScoredTable) -> float:
    """Mean squared distance of probability and truth over all known cells."""
    return float(((scored.scores - scored.targets) ** 2)[:, scored.known].mean())


def reliability(scored: ScoredTable) -> list[tuple[float, float, int]]:
    """Mean probability, share of positives and size of ten bins of equal width, empty ones left out."""
    scores = scored.scores[:, scored.known].ravel()
    truth = np.tile(scored.targets[scored.known], scored.scores.shape[0])
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    filled = [bins == number for number in range(BINS) if (bins == number).any()]
    return [(float(scores[here].mean()), float(truth[here].mean()), int(here.sum())) for here in filled]


def expected_calibration_error(scored: ScoredTable) -> float:
    """Mean distance of probability and share of positives, weighed by the bins' sizes (Guo et al. 2017)."""
    bins = reliability(scored)
    return sum(size * abs(mean - share) for mean, share, size in bins) / max(1, sum(size for _, _, size in bins))


def bootstrap_weights(articles: NDArray[np.str_], samples: int, seed: int, by_article: bool) -> Array:
    """How often each row stands in each bootstrap sample, shape (samples, rows).

    By article: articles are drawn with replacement, then rows within each drawn one (two-stage bootstrap, Davison
    & Hinkley 1997, 3.8). Otherwise rows alone, which takes siblings for strangers and makes intervals too narrow.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(articles == article) for article in np.unique(articles)]
    if not by_article:
        groups = [np.arange(len(articles))]
    weights = np.zeros((samples, len(articles)))
    for sample in weights:
        for group in rng.integers(len(groups), size=len(groups)):
            rows = groups[group]
            np.add.at(sample, rows[rng.integers(len(rows), size=len(rows))], 1)
    return weights


def bootstrap_interval(values: Array, level: float) -> tuple[float, float]:
    """Percentile interval of bootstrap values; samples without a single positive (NaN) don't count."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return round(float(low), 4), round(float(high), 4)
