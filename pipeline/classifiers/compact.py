"""The fine-tuned transformer made small and fast by `export`: computed by OpenVINO, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np

from pipeline.classifiers.base import probabilities
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.classifiers.windows import WindowTokenizer, mean_direction, pool_windows
from pipeline.core.arrays import Array
from pipeline.core.errors import MissingPackageError, UserError
from pipeline.core.io import read_json
from pipeline.core.schemas import Labels, Record

if TYPE_CHECKING:
    from pipeline.classifiers.openvino import Engine


class CompactConfig(Record, frozen=True):
    """What a compact model needs beside its graph."""

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
    engine: Engine
    tfidf: TfidfRegression | None

    def _refuse(self, *_: Any) -> NoReturn:
        raise UserError("compact is exported, not trained; train transformer, then `taqyryp export`")

    __init__ = fit = save = _refuse

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Self:
        """The model that `export` wrote.

        Raises:
            UserError: if a file is not as `export` writes it, or OpenVINO is missing.
        """
        model = cls.__new__(cls)
        model.labels, model.facts = labels, read_json(folder / "facts.json", CompactConfig)
        model.engine = _engine(folder, model.facts, threads)  # first, since it compiles while the rest is read
        model.tokenizer = WindowTokenizer(folder / "encoder", model.facts.prefix, model.facts.max_tokens)
        model.tfidf = TfidfRegression.load(folder / "tfidf", labels) if model.facts.tfidf_weight else None
        return model

    @property
    def hardware(self) -> dict[str, str]:
        """The device, and what most is computed in."""
        return {"device": "cpu", "precision": self.facts.form}

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities in [0, 1] of shape (texts, themes)."""
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


def _engine(folder: Path, facts: CompactConfig, threads: int) -> Engine:
    try:
        from pipeline.classifiers.openvino import GRAPH_FILE, Engine
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise MissingPackageError(f"{folder}: needs the package openvino; run `pip install openvino`") from error
    return Engine(folder / GRAPH_FILE, facts.max_tokens, threads, bfloat16=facts.form != "float32")
