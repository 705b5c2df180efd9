"""The models: their names, and what each of them must do.

A model is imported only when it is used, so that no stage loads (or depends on) the module of another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.manifest import check_manifest
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels, Task

MODELS = {
    "majority": "pipeline.classifiers.baselines:Majority",
    "rules": "pipeline.classifiers.baselines:RuleBased",
    "zeroshot": "pipeline.classifiers.zeroshot:ZeroShot",
    "tfidf": "pipeline.classifiers.tfidf:Tfidf",
    "transformer": "pipeline.classifiers.transformer:Transformer",
}
EXPORTED = {
    "compact": "pipeline.classifiers.compact:Compact",
    "cascade": "pipeline.classifiers.cascade:Cascade",
}
"""Made from a trained model, only to classify."""


@dataclass(frozen=True)
class Setup:
    """What a model is made from: the labels, its own config file, the encoder's folder, threads and the random seed."""

    labels: Labels
    config: Path
    encoder: Path | None
    threads: int
    seed: int

    def checked_encoder(self) -> tuple[Path, dict[str, Any]]:
        """The encoder's folder and what its manifest says of it, once all its files have been checked.

        Raises:
            UserError: if no encoder was given, or its folder is missing or damaged.
        """
        if self.encoder is None:
            raise UserError("this model needs an encoder; give --encoder models/encoder")
        return self.encoder, check_manifest(self.encoder, "encoder").facts


@dataclass(frozen=True)
class Epoch:
    """A point of the learning curve: mean weighted loss over the training rows and, where given, the held-out ones."""

    number: int
    loss: float
    held_out_loss: float | None


class TextClassifier(Protocol):
    """A model from prepared texts to a probability per theme."""

    learns: ClassVar[bool]
    """Whether fitting on other labels makes another model (a reference that only counts or compares does not)."""
    seeded: ClassVar[bool]
    """Whether the seed matters."""

    @property
    def hardware(self) -> dict[str, str]:
        """The `device` it learns on and the `precision` it learns in."""

    def __init__(self, setup: Setup) -> None: ...

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Learns from rows by their target and weight vectors; `held_out` is only watched, never learnt from."""

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities in [0, 1], shape (texts, themes); in a single-label task each row adds up to 1."""

    def save(self, folder: Path) -> None:
        """Writes all that `load` needs into an existing folder, the same bytes for the same model."""

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> TextClassifier:
        """The model that `save` wrote."""


class Reference:
    """Base of the models that others are measured against. They are never shipped, so there is nothing to save."""

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    hardware: dict[str, str] = {"device": "cpu", "precision": "float64"}

    def save(self, folder: Path) -> None:
        """Refuses with a UserError: references are measured, not shipped."""
        raise UserError(f"{self.name} is a reference; train tfidf or transformer")

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Self:
        """Refuses with a UserError: references are measured, not shipped."""
        raise UserError(f"{cls.name} is a reference; load tfidf or transformer")


def model_class(name: str) -> type[TextClassifier]:
    """The class behind a model's name.

    Raises:
        UserError: if there is no such model.
    """
    known = MODELS | EXPORTED
    if name not in known:
        raise UserError(f"model {name!r} is not one of {', '.join(known)}")
    module, _, attribute = known[name].partition(":")
    class_: Any = getattr(import_module(module), attribute)
    return class_  # type: ignore[no-any-return]


def probabilities(logits: Array, task: Task) -> Array:
    """The sigmoid of each logit, or in a single-label task the softmax of each row, shape (texts, themes)."""
    if task == SINGLE_LABEL:
        powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Array = powers / powers.sum(axis=1, keepdims=True)
        return shares
    return 1 / (1 + np.exp(-logits))
