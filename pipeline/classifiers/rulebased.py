"""Reference: the labelling rules alone. A theme of which no rule speaks gets 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.classifiers.base import Epoch, Setup
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.labelling.rules import LabellingRules, RuleSettings


class RuleBased:
    """The probability that the rules' votes come to."""

    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    hardware: ClassVar[dict[str, str]] = {"device": "cpu", "precision": "float64"}

    def __init__(self, setup: Setup) -> None:
        self.names = setup.labels.names
        self.rules = LabellingRules(load_settings(setup.config, RuleSettings), self.names)

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Nothing to learn."""
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        votes = [self.rules.votes(text) for text in texts]
        return np.array([[vote[n].probability if n in vote else 0.0 for n in self.names] for vote in votes])

    def save(self, folder: Path) -> None:
        """References are measured, not shipped."""
        raise UserError("rules is a reference; train tfidf or transformer")

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> RuleBased:
        """References are measured, not shipped."""
        raise UserError("rules is a reference; load tfidf or transformer")
