"""Two models in one: TF-IDF answers where it is sure, the compact transformer the rest. Made by `cascade`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.classifiers.compact import Compact
from pipeline.classifiers.tfidf_regression import TfidfRegression, probabilities
from pipeline.core.arrays import Array
from pipeline.core.io import read_json
from pipeline.core.schemas import SINGLE_LABEL, Labels, Record, Task

FILE, FIRST, BESIDE = "cascade.json", "first", "tfidf"


class ConfidenceBand(Record, frozen=True):
    """Where the first model is sure of a theme: that it is absent at or below `low`, present at or over `high`."""

    low: float
    high: float


class CascadeConfig(Record, frozen=True):
    """The zone of each theme, and the subfolder with the first model."""

    zones: tuple[ConfidenceBand, ...]
    first: str


def is_confident(scores: Array, zones: Sequence[ConfidenceBand], task: Task) -> NDArray[np.bool_]:
    """Of scores (rows, themes) the rows in which every theme lies in its zone; single-label: and one is present."""
    low, high = np.array([zone.low for zone in zones]), np.array([zone.high for zone in zones])
    inside, present = ((scores <= low) | (scores >= high)).all(axis=1), (scores >= high).any(axis=1)
    return np.asarray(inside & present if task == SINGLE_LABEL else inside)


class Cascade(Compact):
    """A compact transformer with TF-IDF before it."""

    first: TfidfRegression
    zones: tuple[ConfidenceBand, ...]

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Self:
        """The model that `cascade` wrote."""
        model = super().load(folder, labels, threads)
        facts = read_json(folder / FILE, CascadeConfig)
        same = model.tfidf if facts.first == BESIDE else None
        model.first, model.zones = same or TfidfRegression.load(folder / facts.first, labels), facts.zones
        return model

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes): those of the model that answered."""
        scores = probabilities(self.first.logits(texts), self.labels.task)
        asked = np.flatnonzero(~is_confident(scores, self.zones, self.labels.task)).tolist()
        scores[asked] = super().predict([texts[index] for index in asked])
        return scores
