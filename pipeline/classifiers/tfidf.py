"""Baseline: TF-IDF alone, nothing pretrained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pipeline.classifiers.base import Epoch, Setup, probabilities
from pipeline.classifiers.tfidf_regression import TfidfRegression, TfidfSettings
from pipeline.core.arrays import Array
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings


class Tfidf:
    """The tfidf model as a classifier."""

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    hardware: ClassVar[dict[str, str]] = {"device": "cpu", "precision": "float64"}

    def __init__(self, setup: Setup) -> None:
        self.tfidf = TfidfRegression(load_settings(setup.config, TfidfSettings), setup.labels)

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Fits to all rows; a convex problem has no curve worth drawing."""
        self.tfidf.fit(rows)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        return probabilities(self.tfidf.logits(texts), self.tfidf.labels.task)

    def save(self, folder: Path) -> None:
        """The tfidf model's files."""
        self.tfidf.save(folder)

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Tfidf:
        """The model that `save` wrote."""
        model = cls.__new__(cls)
        model.tfidf = TfidfRegression.load(folder, labels)
        return model
