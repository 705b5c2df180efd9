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
FIRST_FOLDER, SHARED_FOLDER = "first", "tfidf"
"""Where the first model lies: in a folder of its own, or it is the TF-IDF that the compact model has anyway."""


class ConfidenceBand(Record, frozen=True):
    """Where the first model is sure of a theme: absent at a score of `low` or less, present at `high` or more."""

    low: float
    high: float


class CascadeConfig(Record, frozen=True):
    """The band of each theme, in the order of the labels, and the subfolder with the first model."""

    zones: tuple[ConfidenceBand, ...]
    first: str


def is_confident(scores: Array, bands: Sequence[ConfidenceBand], task: Task) -> Mask:
    """Of scores (rows, themes) the rows in which every theme lies in its band; single-label: and one is present."""
    absent = scores <= np.array([band.low for band in bands])
    present = scores >= np.array([band.high for band in bands])
    confident = (absent | present).all(axis=1)
    return np.asarray(confident & present.any(axis=1) if task == SINGLE_LABEL else confident)


class Cascade(Compact):
    """A compact transformer with TF-IDF before it. `cascade` writes its folder."""

    first: TfidfRegression
    bands: tuple[ConfidenceBand, ...]

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Cascade:
        """The model in a folder that `cascade` wrote."""
        model = cls._load(folder, labels, threads)
        config = read_json(folder / CASCADE_FILE, CascadeConfig)
        shared = model.tfidf if config.first == SHARED_FOLDER else None
        model.first, model.bands = shared or TfidfRegression.load(folder / config.first, labels), config.zones
        return model

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes), each row from the model that answered."""
        scores = probabilities(self.first.logits(texts), self.labels.task)
        unsure = np.flatnonzero(~is_confident(scores, self.bands, self.labels.task)).tolist()
        scores[unsure] = super().predict([texts[index] for index in unsure])
        return scores
