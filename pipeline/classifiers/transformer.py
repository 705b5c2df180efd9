"""The fine-tuned encoder with a TF-IDF model beside it: from texts to probabilities, and to and from a folder.

The encoder knows what a text is about; words and their endings tell public from private, post from pupil. The two make
different errors, so that the sum of their log-odds is better than either (figures: docs/LOG.md).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.classifiers.base import Epoch, Setup, probabilities
from pipeline.classifiers.encoder import FrozenLayers, TrainedLayers, load_body, split_layers, use_bfloat16
from pipeline.classifiers.finetuning import Finetuning, FinetuningSettings, SharedParts
from pipeline.classifiers.tfidf_regression import TfidfRegression, TfidfSettings
from pipeline.classifiers.windows import WindowTokenizer, mean_direction, pool_windows
from pipeline.core.arrays import Array
from pipeline.core.io import read_json, write_json
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.core.settings import load_settings


class TransformerSettings(FinetuningSettings, frozen=True):
    """The content of configs/transformer.yaml."""

    tfidf_weight: Annotated[float, msgspec.Meta(ge=0)]
    tfidf: TfidfSettings


class TransformerConfig(Record, frozen=True):
    """What a saved transformer needs beside its weights."""

    settings: TransformerSettings
    prefix: str
    pooling: str
    max_tokens: int


@functools.cache
def _shared(folder: Path, config: TransformerConfig, device: torch.device, trains: bool) -> SharedParts:
    tokenizer = WindowTokenizer(folder, config.prefix, config.max_tokens)
    lower, upper = split_layers(load_body(folder), config.settings.frozen_layers)
    return SharedParts(tokenizer, FrozenLayers(lower, tokenizer.pad, device, remembers=trains), upper)


@functools.lru_cache(maxsize=8)  # fits of another seed have the same folds, and TF-IDF does not depend on the seed
def _fit_tfidf(settings: TfidfSettings, labels: Labels, rows: tuple[LabelledRow, ...]) -> TfidfRegression:
    tfidf = TfidfRegression(settings, labels)
    tfidf.fit(rows)
    return tfidf


class Transformer:
    """The fine-tuned encoder.

    A text longer than the encoder's window is read in several windows; the highest probability of the windows counts.
    """

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        folder, facts = setup.checked_encoder()
        known = {name: facts[name] for name in ("prefix", "pooling", "max_tokens")}
        config = TransformerConfig(settings=load_settings(setup.config, TransformerSettings), **known)
        self._build(folder, config, setup.labels, setup.threads, trains=True)
        self.seed = setup.seed

    def _build(self, folder: Path, config: TransformerConfig, labels: Labels, threads: int, trains: bool) -> None:
        torch.set_num_threads(threads)
        self.folder, self.config, self.settings, self.labels = folder, config, config.settings, labels
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bfloat16 = trains and use_bfloat16(self.settings.precision, self.device)
        self.shared = _shared(folder, config, self.device, trains)
        themes = len(labels.names)
        network = TrainedLayers(self.shared.upper, config.pooling, self.settings.dropout, themes)
        self.network: TrainedLayers = network.to(self.device)
        self.tfidf: TfidfRegression | None = None

    @property
    def hardware(self) -> dict[str, str]:
        """The device and the precision of training; a model that was loaded computes in float32."""
        return {"device": self.device.type, "precision": "bfloat16" if self.bfloat16 else "float32"}

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Fits TF-IDF and the encoder; the curve is the encoder's, see `Finetuning.fit`."""
        if self.settings.tfidf_weight:
            self.tfidf = _fit_tfidf(self.settings.tfidf, self.labels, tuple(rows))
        finetuning = Finetuning(self.network, self.shared, self.settings, self.labels, self.seed, self.bfloat16)
        return finetuning.fit(rows, held_out)

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes), computed in float32."""
        if not texts:
            return np.zeros((0, len(self.labels.names)))
        windows = self.shared.tokenizer(texts)
        states = self.shared.frozen.states(windows.ids)
        of_windows: Array = self.network.evaluate(self.network, states).double().cpu().numpy()
        logits = pool_windows(of_windows, windows, self.labels.task)
        if self.tfidf:
            logits = logits + self.settings.tfidf_weight * self.tfidf.logits(texts)
        return probabilities(logits, self.labels.task)

    def vectors(self, texts: Sequence[str]) -> Array:
        """Texts as the head sees them, unit vectors of shape (texts, width); a long one is the mean of its windows.

        After training thousands of rows are computed in its precision; cosines with a loaded model's vectors are .9999.
        """
        windows = self.shared.tokenizer(texts)
        states = self.shared.frozen.states(windows.ids, self.bfloat16)
        pooled = self.network.evaluate(self.network.vectors, states, self.bfloat16)
        return mean_direction(self.network.head.standardise(pooled).double().cpu().numpy(), windows)

    def save(self, folder: Path) -> None:
        """The encoder in Hugging Face layout under encoder/, head and tfidf/ beside it: safetensors and JSON."""
        body = load_body(self.folder)
        body.encoder.layer = nn.ModuleList([*self.shared.frozen.body.encoder.layer, *self.network.upper.encoder.layer])
        body.save_pretrained(folder / "encoder")
        self.shared.tokenizer.save(folder / "encoder")
        head = {name: tensor.contiguous() for name, tensor in self.network.head.state_dict().items()}
        save_file(head, folder / "head.safetensors")
        if self.tfidf:
            (folder / "tfidf").mkdir()
            self.tfidf.save(folder / "tfidf")
        write_json(folder / "facts.json", self.config)

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Transformer:
        """The model that `save` wrote."""
        model = cls.__new__(cls)
        config = read_json(folder / "facts.json", TransformerConfig)
        model._build(folder / "encoder", config, labels, threads, trains=False)
        model.seed = 0
        model.network.head.load_state_dict(load_file(folder / "head.safetensors"))
        if config.settings.tfidf_weight:
            model.tfidf = TfidfRegression.load(folder / "tfidf", labels)
        return model
