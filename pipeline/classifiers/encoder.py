"""The neural network: a pretrained encoder, split into frozen lower and trained upper layers, and a linear head.

The output of the frozen layers is computed once for each window and remembered, so that a training step pays for the
upper layers only. Both parts are ordinary Hugging Face models of the same class; the upper part takes hidden states in
place of token ids.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import AutoModel
from transformers.utils import logging

from pipeline.core.errors import UserError
from pipeline.core.processor import HAS_BFLOAT16
from pipeline.core.settings import Precision

TOKENS_PER_BATCH = 2048
"""Padded tokens in a batch that is only read: beyond some 1,000 a CPU gains nothing, a GPU a little."""

PAD_MULTIPLE = 8
"""Batches of hidden states are padded to a multiple of this many tokens: an epoch of 2,400 windows then takes 26.4 s in
place of 31.7 in bfloat16 (28.4 with multiples of 16)."""


def use_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether to compute in bfloat16: if asked for, or for `auto` if the hardware does it (else float32 is faster)."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return HAS_BFLOAT16


def load_body(folder: Path) -> Any:
    """The encoder in a Hugging Face folder, float32, from safetensors alone.

    Raises:
        UserError: if its architecture isn't embeddings followed by `encoder.layer` (BERT, RoBERTa, XLM-R, …).
    """
    logging.set_verbosity_error()  # transformers would warn of an unused pooler; only hidden states are used
    logging.disable_progress_bar()
    body = AutoModel.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        add_pooling_layer=False,
        attn_implementation="eager",  # torch's fused attention is slower for paragraphs on a CPU: 5.7 s for 3.4
    )
    if not (hasattr(body, "embeddings") and hasattr(body, "encoder") and hasattr(body.encoder, "layer")):
        raise UserError(f"{folder}: {type(body).__name__} has no embeddings and encoder.layer; use a BERT-like encoder")
    return body.eval()


class Passthrough(nn.Module):
    """Takes the place of a model's embeddings: the hidden states that come in go on unchanged."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        """Hidden states (windows, tokens, width) -> the same."""
        return inputs_embeds


def split_layers(body: Any, count: int) -> tuple[Any, Any]:
    """`body` with its embeddings and first `count` layers alone, and a model of the other layers."""
    embeddings, layers = body.embeddings, body.encoder.layer
    body.embeddings, body.encoder.layer = Passthrough(), layers[count:]
    upper = copy.deepcopy(body)
    body.embeddings, body.encoder.layer = embeddings, layers[:count]
    return body, upper


class FrozenLayers:
    """The layers that are never trained. `states` gives each window's hidden states.

    With `remembers` it computes them once; a window then costs 4 bytes x tokens x width: 100 kB for a paragraph of 66
    tokens at width 384. In bfloat16 computing takes half the time, and states differ by .03 at most.
    """

    def __init__(self, body: Any, pad: int, device: torch.device, remembers: bool) -> None:
        self.body, self.pad, self.device = body.to(device).requires_grad_(False), pad, device
        self.remembers = remembers
        self._known: dict[bool, dict[tuple[int, ...], Tensor]] = {False: {}, True: {}}

    def states(self, windows: Sequence[Sequence[int]], bfloat16: bool = False) -> list[Tensor]:
        """One float32 tensor (tokens, width) for each window of token ids, in the order given."""
        keys, known = [tuple(window) for window in windows], self._known[bfloat16]
        states = {key: known[key] for key in keys if key in known}
        missing = sorted({key for key in keys if key not in states}, key=len)
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            for batch in token_batches([len(key) for key in missing], TOKENS_PER_BATCH, "encode"):
                ids, mask = pad_ids([missing[index] for index in batch], self.pad)
                output = self.body(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).last_hidden_state
                for row, index in enumerate(batch):
                    states[missing[index]] = output[row, : len(missing[index])].float().clone()
        if self.remembers:
            known.update(states)
        return [states[key] for key in keys]


class Head(nn.Module):
    """A linear layer on standardised sentence vectors (windows, width) -> logits (windows, themes).

    The vectors of this family of encoders lie close together (cosines of .75 to .95), and what tells texts apart is a
    small part of them. `centre` and `scale` come from the training rows, so that the layer sees that part.
    """

    def __init__(self, width: int, themes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, themes)
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def standardise(self, vectors: Tensor) -> Tensor:
        """Sentence vectors as the linear layer sees them, same shape."""
        return (vectors - self.centre) / self.scale

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits in the precision of `vectors`."""
        logits: Tensor = self.linear(self.standardise(vectors))
        return logits


class TrainedLayers(nn.Module):
    """A copy of the encoder's upper layers and the head on top: all that training changes."""

    def __init__(self, upper: Any, pooling: str, dropout: float, themes: int) -> None:
        super().__init__()
        self.upper, self.pooling = copy.deepcopy(upper).requires_grad_(True), pooling
        self.dropout = nn.Dropout()
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        self.head = Head(int(upper.config.hidden_size), themes)

    def vectors(self, states: Sequence[Tensor]) -> Tensor:
        """Hidden states of one batch, each (tokens, width) -> sentence vectors (windows, width)."""
        hidden, mask = pad_states(states)
        if len(self.upper.encoder.layer):
            hidden = self.upper(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
        return pool(hidden, mask, self.pooling)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Hidden states of one batch, each (tokens, width) -> logits (windows, themes)."""
        logits: Tensor = self.head(self.dropout(self.vectors(states)))
        return logits

    def evaluate(
        self, compute: Callable[[Sequence[Tensor]], Tensor], states: Sequence[Tensor], bfloat16: bool = False
    ) -> Tensor:
        """`compute` (`vectors` or the module itself) for any number of windows, as float32, without dropout.

        Windows of like length are computed together. In float32 a window's result does not depend on the others in its
        batch but for rounding.
        """
        self.eval()
        order = sorted(range(len(states)), key=lambda index: len(states[index]))
        batches = token_batches([len(states[index]) for index in order], TOKENS_PER_BATCH)
        with torch.no_grad(), torch.autocast(states[0].device.type, torch.bfloat16, enabled=bfloat16):
            values = torch.cat([compute([states[order[index]] for index in batch]) for batch in batches]).float()
        return values[torch.tensor(order).argsort()]


def token_batches(lengths: Sequence[int], budget: int, label: str = "") -> Iterator[list[int]]:
    """Indices of sorted lengths in runs whose padded size stays within `budget` tokens (one window at least)."""
    batch: list[int] = []
    with tqdm(total=len(lengths), desc=label, unit="window", disable=None if len(lengths) > 256 else True) as bar:
        for index, length in enumerate(lengths):
            if batch and length * (len(batch) + 1) > budget:
                yield batch
                bar.update(len(batch))
                batch = []
            batch.append(index)
        if batch:
            yield batch
            bar.update(len(batch))


def pad_ids(windows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, int64, both (windows, longest window)."""
    ids = pad_sequence([torch.tensor(window) for window in windows], batch_first=True, padding_value=pad)
    return ids, _attention_mask([len(window) for window in windows], ids.shape[1])


def pad_states(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Hidden states (windows, tokens, width), zeros as padding, and attention mask (windows, tokens)."""
    hidden = pad_sequence(list(states), batch_first=True)
    hidden = nn.functional.pad(hidden, (0, 0, 0, -hidden.shape[1] % PAD_MULTIPLE))
    return hidden, _attention_mask([len(state) for state in states], hidden.shape[1]).to(hidden.device)


def _attention_mask(lengths: Sequence[int], width: int) -> Tensor:
    return (torch.arange(width) < torch.tensor(lengths)[:, None]).long()


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """(windows, tokens, width) -> (windows, width): the mean over real tokens, or the first token (`cls`)."""
    if how == "cls":
        return hidden[:, 0]
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)
