"""Fine-tuning: the encoder's upper layers and a linear head, with a TF-IDF model beside them as a second witness.

Exemplars come first, then the articles' own rows beside some exemplars. What the fits of a process can share is
computed once: the output of the frozen embeddings and lower layers, and, since exemplars are the same in every fold,
what each seed learns from them. Windows of an over-long text are trained with the text's targets at an equal share of
its weight; in prediction the highest probability of the windows counts.

The encoder knows what a text is about, words and their endings tell public from private, post from pupil: errors of the
two have little in common, so that adding their log-odds is better than either (figures: docs/LOG.md).
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup

from pipeline.classifiers.base import Epoch, Setup
from pipeline.classifiers.encoder import (
    FrozenLayers,
    computes_bfloat16,
    load_body,
    pad_states,
    pool,
    split_layers,
    token_batches,
)
from pipeline.classifiers.tfidf_regression import TfidfRegression, TfidfSettings, probabilities
from pipeline.classifiers.windows import WindowTokenizer, mean_direction, pool_windows
from pipeline.core.arrays import Array
from pipeline.core.io import read_json, write_json
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels, Record
from pipeline.core.settings import Count, Positive, Precision, Probability, Settings, load_settings

EVALUATION_TOKENS = 2048


class TransformerSettings(Settings, frozen=True):
    """The content of configs/transformer.yaml."""

    epochs: Count
    article_epochs: Annotated[int, msgspec.Meta(ge=0)]
    article_rate: Positive
    replay: Annotated[int, msgspec.Meta(ge=0)]
    batch_size: Count
    frozen_layers: Annotated[int, msgspec.Meta(ge=0)]
    learning_rate: Positive
    head_learning_rate: Positive
    probe_penalty: Positive
    weight_decay: Annotated[float, msgspec.Meta(ge=0)]
    warmup: Probability
    dropout: Probability
    precision: Precision
    tfidf_weight: Annotated[float, msgspec.Meta(ge=0)]
    tfidf: TfidfSettings


class TransformerConfig(Record, frozen=True):
    """What a saved transformer needs beside its weights."""

    settings: TransformerSettings
    prefix: str
    pooling: str
    max_tokens: int


@dataclass(frozen=True)
class Examples:
    """Windows ready to train on: frozen hidden states, and targets and weights of shape (windows, themes)."""

    states: list[Tensor]
    targets: Tensor
    weights: Tensor

    def at(self, indices: Sequence[int]) -> Examples:
        """Those that `indices` name."""
        chosen = list(indices)
        return Examples([self.states[index] for index in chosen], self.targets[chosen], self.weights[chosen])

    def __add__(self, other: Examples) -> Examples:
        """These, then the others."""
        return Examples(
            self.states + other.states,
            torch.cat([self.targets, other.targets]),
            torch.cat([self.weights, other.weights]),
        )


@dataclass(frozen=True)
class ExemplarFit:
    """What a seed learns from exemplars: the curve, the weights it ends with, and the exemplars for later replay."""

    curve: list[Epoch]
    upper: dict[str, Tensor]
    head: dict[str, Tensor]
    examples: Examples


@dataclass(frozen=True)
class SharedParts:
    """What the fits of a process share; each copies `upper`, the trainable part.

    `untrained` holds the sentence vectors of the untrained encoder by the identity of their window's states, which
    `lower` remembers as long as the process lives; `learnt` what was learnt from exemplars, by seed and exemplars.
    """

    tokenizer: WindowTokenizer
    lower: FrozenLayers
    upper: Any
    untrained: dict[int, Tensor] = field(default_factory=dict)
    learnt: dict[tuple[Any, ...], ExemplarFit] = field(default_factory=dict)


@functools.cache
def _shared(folder: Path, facts: TransformerConfig, device: torch.device, trains: bool) -> SharedParts:
    tokenizer = WindowTokenizer(folder, facts.prefix, facts.max_tokens)
    lower, upper = split_layers(load_body(folder), facts.settings.frozen_layers)
    return SharedParts(tokenizer, FrozenLayers(lower, tokenizer.pad, device, remembers=trains), upper)


@functools.lru_cache(maxsize=8)  # the folds of one seed are those of the next, and no number in it hangs on a seed
def _tfidf(settings: TfidfSettings, labels: Labels, rows: tuple[LabelledRow, ...]) -> TfidfRegression:
    tfidf = TfidfRegression(settings, labels)
    tfidf.fit(rows)
    return tfidf


class Head(nn.Module):
    """A linear layer on standardised sentence vectors (windows, width) -> logits (windows, themes).

    The vectors of this family of encoders crowd in a narrow cone (cosines of 0.75 to 0.95), so that what tells texts
    apart is a small part of them: centred and scaled on the training rows, the layer sees that part.
    """

    def __init__(self, width: int, themes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, themes)
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits in the precision of `pooled`."""
        logits: Tensor = self.linear((pooled - self.centre) / self.scale)
        return logits


class Transformer:
    """The fine-tuned encoder."""

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        folder, known = setup.checked_encoder()
        facts = {name: known[name] for name in ("prefix", "pooling", "max_tokens")}
        settings = load_settings(setup.config, TransformerSettings)
        self._build(folder, TransformerConfig(settings=settings, **facts), setup.labels, setup.threads, trains=True)
        self.seed = setup.seed

    def _build(self, folder: Path, facts: TransformerConfig, labels: Labels, threads: int, trains: bool) -> None:
        torch.set_num_threads(threads)
        self.folder, self.facts, self.settings, self.labels = folder, facts, facts.settings, labels
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.shared = _shared(folder, facts, self.device, trains)
        self.upper = _copy(self.shared.upper, self.settings.dropout).to(self.device)
        self.head = Head(int(self.upper.config.hidden_size), len(labels.names)).to(self.device)
        self.tfidf = TfidfRegression(self.settings.tfidf, labels)
        self.trains, self.half = trains, _bfloat16(self.settings.precision, self.device)

    @property
    def hardware(self) -> dict[str, str]:
        """The device and the precision that were found."""
        return {"device": self.device.type, "precision": "bfloat16" if self.half else "float32"}

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Trains for the configured epochs; no early stopping, since what would stop it would be scored by it.

        The curve is the encoder's: exemplars first, then articles. What is held out is watched from the last epoch over
        exemplars on, since the fits share all before it.
        """
        if self.settings.tfidf_weight:
            self.tfidf = _tfidf(self.settings.tfidf, self.labels, tuple(rows))
        exemplars = [row for row in rows if row.provenance == "exemplar"]
        others = [row for row in rows if row.provenance != "exemplar"]
        watched = self._examples(held_out) if held_out else None
        if not exemplars or not others:
            return self._first(self._examples(rows), watched)
        learnt = self._learn_exemplars(exemplars)
        torch.manual_seed(self.seed)
        articles, replayed = self._examples(others), learnt.examples
        drawn = min(len(replayed.states), self.settings.replay * len(articles.states))

        def examples() -> Examples:
            return articles + replayed.at(torch.randperm(len(replayed.states))[:drawn].tolist())

        before = replace(learnt.curve[-1], held_out_loss=self._loss(watched) if watched else None)
        curve = [*learnt.curve[:-1], before]
        return curve + self._train(
            examples, self.settings.article_epochs, self.settings.article_rate, watched, len(curve)
        )

    def _first(self, training: Examples, watched: Examples | None = None) -> list[Epoch]:
        """From the pretrained encoder, in one go."""
        torch.manual_seed(self.seed)
        self._start_head(training)
        return self._train(lambda: training, self.settings.epochs, 1.0, watched)

    def _learn_exemplars(self, exemplars: Sequence[LabelledRow]) -> ExemplarFit:
        """The same for exemplars, once a process and seed; this model then has learnt them."""
        key = (self.labels, self.seed, *((row.text, row.targets, row.weights) for row in exemplars))
        if key not in self.shared.learnt:
            examples = self._examples(exemplars)
            curve = self._first(examples)
            upper, head = copy.deepcopy((self.upper.state_dict(), self.head.state_dict()))
            self.shared.learnt[key] = ExemplarFit(curve, upper, head, examples)
        learnt = self.shared.learnt[key]
        self.upper.load_state_dict(learnt.upper)
        self.head.load_state_dict(learnt.head)
        return learnt

    def _train(
        self,
        examples: Callable[[], Examples],
        epochs: int,
        rate: float,
        watched: Examples | None,
        done: int = 0,
    ) -> list[Epoch]:
        """Epochs over what `examples` gives for each, at `rate` times the learning rates, after `done` earlier ones."""
        rounds = [examples() for _ in range(epochs)]
        steps = sum(math.ceil(len(each.states) / self.settings.batch_size) for each in rounds)
        optimizer, schedule = self._optimizer(steps, rate)
        curve = []
        bar = tqdm(rounds, desc="epochs", unit="epoch", leave=False, disable=None)
        for number, training in enumerate(bar, start=done + 1):
            self.upper.train()
            losses = [self._step(training, batch, optimizer, schedule) for batch in self._batches(training)]
            held_out_loss = self._loss(watched) if watched else None
            curve.append(Epoch(number=number, loss=_mean(losses), held_out_loss=held_out_loss))
        self.upper.eval()
        return curve

    def _examples(self, rows: Sequence[LabelledRow]) -> Examples:
        disable_progress_bars()  # cutting windows takes milliseconds
        table = Dataset.from_dict(
            {name: [getattr(row, name) for row in rows] for name in ("text", "targets", "weights")}
        )
        windows = table.map(
            self._cut_rows,
            batched=True,
            remove_columns=table.column_names,
            new_fingerprint="windows",  # or it would be a hash of all that `self` holds, gigabytes of hidden states
        ).to_dict()
        return Examples(
            states=self.shared.lower.states(windows["ids"], half=self.half),
            targets=torch.tensor(windows["targets"], device=self.device),
            weights=torch.tensor(windows["weights"], device=self.device),
        )

    def _cut_rows(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        windows = self.shared.tokenizer(batch["text"])
        counts = np.bincount(windows.owner)
        return {
            "ids": windows.ids,
            "targets": [batch["targets"][owner] for owner in windows.owner],
            "weights": [[weight / counts[owner] for weight in batch["weights"][owner]] for owner in windows.owner],
        }

    def _start_head(self, training: Examples) -> None:
        """Standardises the untrained vectors and starts the layer as their logistic regression.

        Fine-tuning from there changes the encoder less than from a random head, whose first gradients are noise
        ("linear probing, then fine-tuning", Kumar et al. 2022).
        """
        missing = [state for state in training.states if id(state) not in self.shared.untrained]
        if missing:
            with self._autocast():
                vectors = self._evaluate(missing, self._pooled).float()
            self.shared.untrained.update({id(state): vector for state, vector in zip(missing, vectors, strict=True)})
        vectors = torch.stack([self.shared.untrained[id(state)] for state in training.states])
        self.head.centre.copy_(vectors.mean(0))
        self.head.scale.copy_(vectors.std(0, correction=0).clamp(min=1e-6) * math.sqrt(vectors.shape[1]))
        nn.init.zeros_(self.head.linear.weight)
        nn.init.zeros_(self.head.linear.bias)
        probe = torch.optim.LBFGS(self.head.parameters(), max_iter=50, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            probe.zero_grad()
            penalty = self.head.linear.weight.square().sum() * self.settings.probe_penalty
            value = self._weighted_loss(self.head(vectors), training.targets, training.weights) + penalty
            value.backward()  # type: ignore[no-untyped-call]
            return value

        probe.step(loss)  # type: ignore[no-untyped-call]

    def _optimizer(self, steps: int, rate: float) -> tuple[torch.optim.Optimizer, Any]:
        settings = self.settings
        groups = [
            {"params": [p for p in self.upper.parameters() if p.requires_grad], "lr": rate * settings.learning_rate},
            {"params": list(self.head.parameters()), "lr": rate * settings.head_learning_rate},
        ]
        trained = [group for group in groups if group["params"]]
        optimizer = torch.optim.AdamW(trained, weight_decay=settings.weight_decay, fused=True)  # 14 ms a step, not 39
        return optimizer, get_linear_schedule_with_warmup(optimizer, round(steps * settings.warmup), steps)

    def _batches(self, examples: Examples) -> Iterator[list[int]]:
        """Random batches of like length: shuffled, sorted within runs of 64 batches, the batches shuffled again.

        With 64 batches of 16, 2% of what is computed is padding; with 8 it is 17%.
        """
        size, run = self.settings.batch_size, 64 * self.settings.batch_size
        order = torch.randperm(len(examples.states)).tolist()
        runs = [sorted(order[i : i + run], key=lambda k: len(examples.states[k])) for i in range(0, len(order), run)]
        batches = [several[i : i + size] for several in runs for i in range(0, len(several), size)]
        return (batches[index] for index in torch.randperm(len(batches)).tolist())

    def _step(self, examples: Examples, batch: list[int], optimizer: torch.optim.Optimizer, schedule: Any) -> float:
        with self._autocast():
            logits = self._logits([examples.states[index] for index in batch])
        loss = self._weighted_loss(logits.float(), examples.targets[batch], examples.weights[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*self.upper.parameters(), *self.head.parameters()], 1.0)
        optimizer.step()
        schedule.step()
        return loss.item()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _pooled(self, states: Sequence[Tensor]) -> Tensor:
        hidden, mask = pad_states(states)
        mask = mask.to(self.device)
        if len(self.upper.encoder.layer):
            hidden = self.upper(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
        return pool(hidden, mask, self.facts.pooling)

    def _logits(self, states: Sequence[Tensor]) -> Tensor:
        pooled = nn.functional.dropout(self._pooled(states), self.settings.dropout, self.upper.training)
        logits: Tensor = self.head(pooled)
        return logits

    def _weighted_loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Cross-entropy, averaged over what is known; unknown themes weigh nothing."""
        if self.labels.task == SINGLE_LABEL:
            each = -targets * logits.log_softmax(1)
            return (each * weights).sum() / (targets * weights).sum().clamp(min=1e-9)
        each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (each * weights).sum() / weights.sum().clamp(min=1e-9)

    def _loss(self, examples: Examples) -> float:
        with self._autocast():
            logits = self._evaluate(examples.states, self._logits).float()
        return self._weighted_loss(logits, examples.targets, examples.weights).item()

    def _evaluate(self, states: Sequence[Tensor], what: Callable[[Sequence[Tensor]], Tensor]) -> Tensor:
        """`what` of each window; in float32, unless autocast says otherwise, so that no answer hangs on its batch."""
        self.upper.eval()
        order = sorted(range(len(states)), key=lambda index: len(states[index]))
        batches = token_batches([len(states[index]) for index in order], EVALUATION_TOKENS)
        with torch.no_grad():
            values = torch.cat([what([states[order[index]] for index in batch]) for batch in batches])
        out = torch.empty_like(values)
        out[order] = values
        return out

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        if not texts:
            return np.zeros((0, len(self.labels.names)))
        logits = self._encoder_logits(texts)
        if self.settings.tfidf_weight:
            logits = logits + self.settings.tfidf_weight * self.tfidf.logits(texts)
        return probabilities(logits, self.labels.task)

    def _encoder_logits(self, texts: Sequence[str]) -> Array:
        """The highest log-odds over each text's windows (single-label: the log of their mean probability)."""
        windows = self.shared.tokenizer(texts)
        logits = self._evaluate(self.shared.lower.states(windows.ids), self._logits).double()
        return pool_windows(logits.cpu().numpy(), windows, self.labels.task)

    def vectors(self, texts: Sequence[str]) -> Array:
        """Where the head sees texts, unit vectors of shape (texts, width); a long one is the mean of its windows.

        In training they are those of thousands of rows and come in its precision: cosines with serving's of .9999.
        """
        windows, half = self.shared.tokenizer(texts), self.half and self.trains
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            pooled = self._evaluate(self.shared.lower.states(windows.ids, half), self._pooled).float()
        placed: Array = ((pooled - self.head.centre) / self.head.scale).double().cpu().numpy()
        return mean_direction(placed, windows)

    def save(self, folder: Path) -> None:
        """The encoder in Hugging Face layout under encoder/, head and tfidf/ beside it: safetensors and JSON."""
        body = load_body(self.folder)
        body.encoder.layer = nn.ModuleList([*self.shared.lower.body.encoder.layer, *self.upper.encoder.layer])
        body.save_pretrained(folder / "encoder")
        self.shared.tokenizer.save(folder / "encoder")
        save_file(
            {name: tensor.contiguous() for name, tensor in self.head.state_dict().items()}, folder / "head.safetensors"
        )
        if self.settings.tfidf_weight:
            (folder / "tfidf").mkdir()
            self.tfidf.save(folder / "tfidf")
        write_json(folder / "facts.json", self.facts)

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Transformer:
        """The model that `save` wrote."""
        model = cls.__new__(cls)
        model._build(
            folder / "encoder", read_json(folder / "facts.json", TransformerConfig), labels, threads, trains=False
        )
        model.seed = 0
        model.head.load_state_dict(load_file(folder / "head.safetensors"))
        model.upper.eval()
        model.head.to(model.device)
        if model.settings.tfidf_weight:
            model.tfidf = TfidfRegression.load(folder / "tfidf", labels)
        return model


def _copy(upper: Any, dropout: float) -> Any:
    """A fresh copy of the pretrained upper part with its dropout set."""
    fresh = copy.deepcopy(upper)
    for module in fresh.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return fresh.requires_grad_(True)


def _bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether to train in bfloat16: asked for, or (auto) done in hardware here."""
    return computes_bfloat16(device) if precision == "auto" else precision == "bfloat16"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
