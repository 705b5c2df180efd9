"""References without any training: the frequencies of the themes, and the labelling rules alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline.classifiers.base import Epoch, Reference, Setup
from pipeline.core.arrays import Array, targets_and_weights
from pipeline.core.schemas import LabelledRow
from pipeline.core.settings import load_settings
from pipeline.labelling.rules import LabellingRules, RuleSettings


class Majority(Reference):
    """Each theme is as probable as it was in training, whatever the text says."""

    name: ClassVar[str] = "majority"

    def __init__(self, setup: Setup) -> None:
        self.prior = np.zeros(len(setup.labels.names))

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Takes the weighted mean of the targets; there is no curve."""
        targets, weights = targets_and_weights(rows)
        self.prior = (targets * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """The same probabilities for each text, shape (texts, themes)."""
        return np.tile(self.prior, (len(texts), 1))


class RuleBased(Reference):
    """The probability that the votes of the rules come to, and 0 for a theme that no rule speaks of."""

    name: ClassVar[str] = "rules"

    def __init__(self, setup: Setup) -> None:
        self.themes = setup.labels.names
        self.rules = LabellingRules(load_settings(setup.config, RuleSettings), setup.labels)

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Does nothing: the rules are written by hand."""
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        votes = [self.rules.votes(text) for text in texts]
        return np.array([[vote[t].probability if t in vote else 0.0 for t in self.themes] for vote in votes])
