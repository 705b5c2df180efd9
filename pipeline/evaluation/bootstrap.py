"""Intervals by resampling articles, wide enough for few of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from pipeline.core.arrays import Array

FEW_ARTICLES = 5
"""Below this many articles a bootstrap over articles has too few to draw from."""
_DRAWS = 1_000_000
"""About so many rows are drawn at a time, so that memory does not grow with the number of samples."""


@dataclass(frozen=True)
class Bootstrap:
    """Draws articles with replacement, then rows within each drawn one (Davison & Hinkley 1997, 3.8).

    Behind fewer than `FEW_ARTICLES` articles, rows alone: that ignores how alike an article's rows are, so intervals
    come out too narrow. `articles` has the article of each row.
    """

    articles: NDArray[np.str_]
    samples: int
    seed: int

    @property
    def too_narrow(self) -> bool:
        """Whether there are too few articles to draw."""
        return len(np.unique(self.articles)) < FEW_ARTICLES

    def weights(self) -> Iterator[Array]:
        """How often each row stands in each sample, in blocks of shape (samples, rows); the same at each call."""
        rng, rows = np.random.default_rng(self.seed), len(self.articles)
        groups = np.zeros(rows) if self.too_narrow else self.articles
        order = np.argsort(groups, kind="stable")
        _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
        step = max(1, _DRAWS // rows)
        for begin in range(0, self.samples, step):
            block = min(step, self.samples - begin)
            drawn = rng.integers(len(sizes), size=(block, len(sizes)))
            sample = np.repeat(np.arange(block), sizes[drawn].sum(axis=1))
            group = np.repeat(drawn.ravel(), sizes[drawn].ravel())
            row = order[starts[group] + rng.integers(sizes[group])]
            yield np.bincount(sample * rows + row, minlength=block * rows).reshape(block, rows).astype(float)

    def interval(self, values: Array, level: float) -> tuple[float, float] | None:
        """Percentile interval of a figure's values in the samples, at the quantiles of Student's t in place of z.

        The spread between k articles is known from k - 1 differences, so five of them need the reach of t with four
        degrees of freedom, which is a third more than that of z. Samples without a single positive (NaN) don't count;
        None if all are.
        """
        if np.isnan(values).all():
            return None
        units = len(self.articles) if self.too_narrow else len(np.unique(self.articles))
        tail = float(ndtr(stdtrit(max(1, units - 1), (1 - level) / 2)))
        low, high = np.nanquantile(values, [tail, 1 - tail])
        return round(float(low), 4), round(float(high), 4)
