"""Baseline: TF-IDF alone, nothing pretrained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pipeline.classifiers import Array, Epoch, Setup
from pipeline.lexical import Lexical, LexicalSettings, probabilities
from pipeline.records import LabelledRow, Labels
from pipeline.settings import load


class Tfidf:
    """The lexical model as a classifier."""

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    hardware: ClassVar[dict[str, str]] = {"device": "cpu", "precision": "float64"}

    def __init__(self, setup: Setup) -> None:
        self.lexical = Lexical(load(setup.config, LexicalSettings), setup.labels)

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Fits to all rows; a convex problem has no curve worth drawing."""
        self.lexical.fit(rows)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        return probabilities(self.lexical.logits(texts), self.lexical.labels.task)

    def save(self, folder: Path) -> None:
        """The lexical model's files."""
        self.lexical.save(folder)

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Tfidf:
        """The model that `save` wrote."""
        model = cls.__new__(cls)
        model.lexical = Lexical.load(folder, labels)
        return model
