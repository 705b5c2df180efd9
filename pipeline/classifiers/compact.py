"""The fine-tuned transformer made small and fast by `export`: served by OpenVINO, without torch, or by torch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from safetensors.numpy import load_file

from pipeline.classifiers.base import Epoch, Setup, probabilities
from pipeline.classifiers.quantization import Shape
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.classifiers.windows import WindowTokenizer, mean_direction, pool_windows
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.io import read_json
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.core.settings import Precision

Compute = Callable[[Sequence[Sequence[int]]], tuple[Array, Array]]
"""Token windows -> logits (windows, themes) and sentence vectors (windows, width)."""


class CompactConfig(Record, frozen=True):
    """What a compact model needs beside its weights."""

    shape: Shape
    prefix: str
    max_tokens: int
    tfidf_weight: float
    form: str


class Compact:
    """Encoder, head and TF-IDF of a transformer, for classifying alone."""

    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    labels: Labels
    facts: CompactConfig
    tokenizer: WindowTokenizer
    engine: Compute
    tfidf: TfidfRegression | None

    def __init__(self, setup: Setup) -> None:
        raise UserError("compact is exported, not trained; train transformer, then `taqyryp export`")

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Compact:
        """The model that `export` wrote."""
        return cls._load(folder, labels, threads)

    @classmethod
    def _load(cls, folder: Path, labels: Labels, threads: int) -> Self:
        model = cls.__new__(cls)
        model.labels, model.facts = labels, read_json(folder / "facts.json", CompactConfig)
        model.engine = _engine(folder, model.facts, threads)  # compiles while the rest is read
        model.tokenizer = WindowTokenizer(folder / "encoder", model.facts.prefix, model.facts.max_tokens)
        model.tfidf = TfidfRegression.load(folder / "tfidf", labels) if model.facts.tfidf_weight else None
        return model

    @property
    def hardware(self) -> dict[str, str]:
        """The device, and what most is computed in."""
        return {"device": "cpu", "precision": self.facts.form}

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        if not texts:
            return np.zeros((0, len(self.labels.names)))
        windows = self.tokenizer(texts)
        logits = pool_windows(self.engine(windows.ids)[0], windows, self.labels.task)
        if self.tfidf:
            logits = logits + self.facts.tfidf_weight * self.tfidf.logits(texts)
        return probabilities(logits, self.labels.task)

    def vectors(self, texts: Sequence[str]) -> Array:
        """Where the head sees texts, unit vectors of shape (texts, width); a long one is the mean of its windows."""
        windows = self.tokenizer(texts)
        return mean_direction(self.engine(windows.ids)[1], windows)

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """It learns nothing."""
        raise UserError("compact is exported, not trained; train transformer, then `taqyryp export`")

    def save(self, folder: Path) -> None:
        """It is written by `export`."""
        raise UserError("compact is exported, not trained; train transformer, then `taqyryp export`")


def _engine(folder: Path, facts: CompactConfig, threads: int) -> Compute:
    """OpenVINO's, or torch's where that is not installed."""
    tensors = load_file(folder / "weights.safetensors")
    try:
        from pipeline.classifiers.openvino import Engine
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        from pipeline.classifiers.torch_engine import TorchEngine

        return TorchEngine(tensors, facts.shape, folder / "encoder", threads)
    precision: Precision = "float32" if facts.form == "float32" else "bfloat16"
    return Engine(tensors, facts.shape, precision, threads)
