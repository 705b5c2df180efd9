"""Two models in one folder: TF-IDF answers where it is confident, the compact transformer elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.classifiers.base import probabilities
from pipeline.classifiers.compact import Compact
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.core.arrays import Array, Mask
from pipeline.core.io import read_json
from pipeline.core.schemas import SINGLE_LABEL, Labels, Record, Task

CASCADE_FILE = "cascade.json"
SHARED_TFIDF, OWN_TFIDF = "tfidf", "first"
"""Subfolders with the first model: the one the transformer adds to its own scores, or where that differs, a second."""


class ConfidenceBand(Record, frozen=True):
    """Where the first model is sure of a theme: that it is absent at or below `low`, present at or over `high`."""

    low: float
    high: float


class CascadeConfig(Record, frozen=True):
    """The content of cascade.json: the band of each theme, and the subfolder with the first model."""

    zones: tuple[ConfidenceBand, ...]
    first: str


def is_confident(scores: Array, bands: Sequence[ConfidenceBand], task: Task) -> Mask:
    """Of scores (rows, themes) the rows in which every theme lies in its band; single-label: and one is present."""
    low, high = np.array([band.low for band in bands]), np.array([band.high for band in bands])
    present = scores >= high
    inside = ((scores <= low) | present).all(axis=1)
    return np.asarray(inside & present.any(axis=1) if task == SINGLE_LABEL else inside)


class Cascade(Compact):
    """A compact transformer with TF-IDF before it."""

    first: TfidfRegression
    bands: tuple[ConfidenceBand, ...]

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Cascade:
        """The model that `cascade` wrote."""
        model = cls._load(folder, labels, threads)
        config = read_json(folder / CASCADE_FILE, CascadeConfig)
        shared = model.tfidf if config.first == SHARED_TFIDF else None
        model.first = shared or TfidfRegression.load(folder / config.first, labels)
        model.bands = config.zones
        return model

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes): those of the model that answered."""
        scores = probabilities(self.first.logits(texts), self.labels.task)
        unsure = np.flatnonzero(~is_confident(scores, self.bands, self.labels.task)).tolist()
        scores[unsure] = super().predict([texts[index] for index in unsure])
        return scores
