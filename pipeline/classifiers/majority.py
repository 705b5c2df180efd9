"""Reference: each theme as probable as it was in training, whatever the text says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.classifiers.base import Epoch, Setup
from pipeline.core.arrays import Array, targets_and_weights
from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels


class Majority:
    """The weighted mean of the training targets."""

    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    hardware: ClassVar[dict[str, str]] = {"device": "cpu", "precision": "float64"}

    def __init__(self, setup: Setup) -> None:
        self.prior = np.zeros(len(setup.labels.names))

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Counts; there is no curve."""
        targets, weights = targets_and_weights(rows)
        self.prior = (targets * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """The prior, once a text."""
        return np.tile(self.prior, (len(texts), 1))

    def save(self, folder: Path) -> None:
        """References are measured, not shipped."""
        raise UserError("majority is a reference; train tfidf or transformer")

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Majority:
        """References are measured, not shipped."""
        raise UserError("majority is a reference; load tfidf or transformer")
