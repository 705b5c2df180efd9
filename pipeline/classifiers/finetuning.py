"""Training: from labelled rows to fitted upper layers and head.

Exemplars come first, then the articles' own rows beside some exemplars. Exemplars are the same in every fold, so what
each seed learns from them is computed once in a process and shared by its fits.

A `Dataset` has one row for each window of a text: its token `ids`, and the `targets` and `weights` of its text. The
hidden states behind the ids are read from the frozen layers, which remember them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from torch import Tensor, nn
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup

from pipeline.classifiers.base import Epoch
from pipeline.classifiers.encoder import FrozenLayers, TrainedLayers
from pipeline.classifiers.windows import WindowTokenizer
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels, Task
from pipeline.core.settings import Count, Positive, Precision, Probability, Settings

BATCHES_PER_RUN = 64
"""Windows are sorted by length within runs of this many batches. 2% of what is computed is then padding, with 8 17%."""


class FinetuningSettings(Settings, frozen=True):
    """How the encoder is fine-tuned; configs/transformer.yaml says what each value means."""

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


@dataclass(frozen=True)
class ExemplarFit:
    """What a seed learns from exemplars: the curve, the state that the network ends in, and the exemplars' windows."""

    curve: list[Epoch]
    state: dict[str, Tensor]
    examples: Dataset


@dataclass(frozen=True)
class SharedParts:
    """What the fits of a process share; each trains a copy of `upper`, the pretrained upper layers.

    `untrained` has the sentence vectors of the untrained encoder by the token ids of the window, `exemplar_fits` what
    was learnt from exemplars by labels, seed and exemplars.
    """

    tokenizer: WindowTokenizer
    frozen: FrozenLayers
    upper: Any
    untrained: dict[tuple[int, ...], Tensor] = field(default_factory=dict)
    exemplar_fits: dict[tuple[Any, ...], ExemplarFit] = field(default_factory=dict)


@dataclass(frozen=True)
class Finetuning:
    """One fit of `network`, whose weights it changes."""

    network: TrainedLayers
    shared: SharedParts
    settings: FinetuningSettings
    labels: Labels
    seed: int
    bfloat16: bool

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow]) -> list[Epoch]:
        """Trains for the configured epochs; no early stopping, since what would stop it would be scored by it.

        The curve has the epochs over exemplars first, then those over articles. The loss on held-out rows starts with
        the last epoch over exemplars, since all before it is shared by fits that hold out other rows.
        """
        exemplars = [row for row in rows if row.provenance == "exemplar"]
        others = [row for row in rows if row.provenance != "exemplar"]
        watched = self._examples(held_out) if held_out else None
        if not exemplars or not others:
            return self._fit_pretrained(self._examples(rows), watched)
        learnt = self._fit_exemplars(exemplars)
        torch.manual_seed(self.seed)
        articles = self._examples(others)
        before = replace(learnt.curve[-1], held_out_loss=self._held_out_loss(watched))
        epochs = [self._with_replay(articles, learnt.examples) for _ in range(self.settings.article_epochs)]
        after = self._run_epochs(epochs, self.settings.article_rate, watched, done=len(learnt.curve))
        return [*learnt.curve[:-1], before, *after]

    def _fit_pretrained(self, examples: Dataset, watched: Dataset | None = None) -> list[Epoch]:
        """From the pretrained encoder, in one go."""
        torch.manual_seed(self.seed)
        self._start_head(examples)
        return self._run_epochs([examples] * self.settings.epochs, 1.0, watched)

    def _fit_exemplars(self, exemplars: Sequence[LabelledRow]) -> ExemplarFit:
        """The same for exemplars, once a process and seed; afterwards `network` has learnt them."""
        key = (self.labels, self.seed, *((row.text, row.targets, row.weights) for row in exemplars))
        if key not in self.shared.exemplar_fits:
            examples = self._examples(exemplars)
            curve = self._fit_pretrained(examples)
            state = copy.deepcopy(self.network.state_dict())
            self.shared.exemplar_fits[key] = ExemplarFit(curve, state, examples)
        learnt = self.shared.exemplar_fits[key]
        self.network.load_state_dict(learnt.state)
        return learnt

    def _with_replay(self, articles: Dataset, exemplars: Dataset) -> Dataset:
        """The articles' windows, and `replay` times as many of exemplars, drawn anew at each call."""
        count = min(len(exemplars), self.settings.replay * len(articles))
        return concatenate_datasets([articles, exemplars.select(torch.randperm(len(exemplars))[:count].tolist())])

    def _examples(self, rows: Sequence[LabelledRow]) -> Dataset:
        """A row for each window; the windows of one text share its weight equally."""
        windows = self.shared.tokenizer([row.text for row in rows])
        self._states(windows.ids)  # computed here, all at once and sorted by length; batches find them remembered
        counts = np.bincount(windows.owner)
        columns = {
            "ids": windows.ids,
            "targets": [rows[index].targets for index in windows.owner],
            "weights": [[weight / counts[index] for weight in rows[index].weights] for index in windows.owner],
        }
        numbers, device = ["targets", "weights"], self.shared.frozen.device
        return Dataset.from_dict(columns).with_format("torch", numbers, output_all_columns=True, device=device)

    def _states(self, windows: Sequence[Sequence[int]]) -> list[Tensor]:
        return self.shared.frozen.states(windows, self.bfloat16)

    def _start_head(self, examples: Dataset) -> None:
        """Standardises the untrained vectors and starts the head as their logistic regression.

        Fine-tuning from there changes the encoder less than from a random head, whose first gradients are noise
        ("linear probing, then fine-tuning", Kumar et al. 2022).
        """
        table, head = examples[:], self.network.head
        vectors = self._untrained_vectors([tuple(ids) for ids in table["ids"]])
        head.centre.copy_(vectors.mean(0))
        # Standardised vectors of width w have a length of about sqrt(w); divided by it they are about unit vectors.
        head.scale.copy_(vectors.std(0, correction=0).clamp(min=1e-6) * math.sqrt(vectors.shape[1]))
        nn.init.zeros_(head.linear.weight)
        nn.init.zeros_(head.linear.bias)
        probe = torch.optim.LBFGS(head.parameters(), max_iter=50, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            probe.zero_grad()
            penalty = head.linear.weight.square().sum() * self.settings.probe_penalty
            value = weighted_loss(head(vectors), table["targets"], table["weights"], self.labels.task) + penalty
            value.backward()  # type: ignore[no-untyped-call]
            return value

        probe.step(loss)  # type: ignore[no-untyped-call]

    def _untrained_vectors(self, windows: Sequence[tuple[int, ...]]) -> Tensor:
        """Sentence vectors (windows, width) of a network that has learnt nothing yet, computed once a process."""
        known = self.shared.untrained
        missing = [window for window in windows if window not in known]
        if missing:
            vectors = self.network.evaluate(self.network.vectors, self._states(missing), self.bfloat16)
            known.update(zip(missing, vectors, strict=True))
        return torch.stack([known[window] for window in windows])

    def _run_epochs(
        self, epochs: Sequence[Dataset], rate: float, watched: Dataset | None, done: int = 0
    ) -> list[Epoch]:
        """One pass over each of `epochs`, at `rate` times the learning rates, after `done` earlier ones."""
        steps = sum(math.ceil(len(examples) / self.settings.batch_size) for examples in epochs)
        optimizer, schedule = self._optimizer(steps, rate)
        curve = []
        bar = tqdm(epochs, desc="epochs", unit="epoch", leave=False, disable=None)
        for number, examples in enumerate(bar, start=done + 1):
            self.network.train()
            losses = [self._step(batch, optimizer, schedule) for batch in self._batches(examples)]
            loss = sum(losses) / max(1, len(losses))
            curve.append(Epoch(number=number, loss=loss, held_out_loss=self._held_out_loss(watched)))
        self.network.eval()
        return curve

    def _optimizer(self, steps: int, rate: float) -> tuple[torch.optim.Optimizer, Any]:
        settings = self.settings
        groups = [
            {"params": list(self.network.upper.parameters()), "lr": rate * settings.learning_rate},
            {"params": list(self.network.head.parameters()), "lr": rate * settings.head_learning_rate},
        ]
        trained = [group for group in groups if group["params"]]  # with all layers frozen there is only the head
        optimizer = torch.optim.AdamW(trained, weight_decay=settings.weight_decay, fused=True)  # 14 ms a step, not 39
        return optimizer, get_linear_schedule_with_warmup(optimizer, round(steps * settings.warmup), steps)

    def _batches(self, examples: Dataset) -> Iterator[dict[str, Any]]:
        """Random batches of like length: shuffled, sorted within runs of batches, the batches shuffled again."""
        size, run = self.settings.batch_size, BATCHES_PER_RUN * self.settings.batch_size
        lengths = [len(ids) for ids in examples[:]["ids"]]
        order = torch.randperm(len(lengths)).tolist()
        runs = [sorted(order[start : start + run], key=lengths.__getitem__) for start in range(0, len(order), run)]
        batches = [several[start : start + size] for several in runs for start in range(0, len(several), size)]
        for index in torch.randperm(len(batches)).tolist():
            yield examples[batches[index]]

    def _step(self, batch: dict[str, Any], optimizer: torch.optim.Optimizer, schedule: Any) -> float:
        with torch.autocast(self.shared.frozen.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(self._states(batch["ids"]))
        loss = weighted_loss(logits.float(), batch["targets"], batch["weights"], self.labels.task)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)  # longer gradients are cut to length 1
        optimizer.step()
        schedule.step()
        return loss.item()

    def _held_out_loss(self, watched: Dataset | None) -> float | None:
        if watched is None:
            return None
        table = watched[:]
        logits = self.network.evaluate(self.network, self._states(table["ids"]), self.bfloat16)
        return weighted_loss(logits, table["targets"], table["weights"], self.labels.task).item()


def weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor, task: Task) -> Tensor:
    """Cross-entropy, averaged over what is known; all of shape (windows, themes), unknown themes weigh nothing."""
    if task == SINGLE_LABEL:
        losses = -targets * logits.log_softmax(1)
        return (losses * weights).sum() / (targets * weights).sum().clamp(min=1e-9)
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-9)
