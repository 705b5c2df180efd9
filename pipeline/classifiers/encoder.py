"""The encoder at work: token windows -> hidden states, with the frozen lower layers computed once a window.

A Hugging Face encoder is cut in two: `FrozenLayers` (embeddings and the first layers, never trained) and an upper part that
classifier may train. Both are ordinary models of the same class; the upper one's embeddings pass hidden states through.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoModel
from transformers.utils import logging

from pipeline.core.errors import UserError

TOKENS_PER_BATCH = 2048
"""Padded tokens in a batch that is only read: beyond some 1,000 a CPU gains nothing, a GPU a little."""


PAD_MULTIPLE = 8
"""Tokens that a training batch is padded to a multiple of: products of odd shapes take a fifth longer in bfloat16."""


def computes_bfloat16(device: torch.device) -> bool:
    """Whether in hardware. A CPU without it takes longer than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


class Passthrough(nn.Module):
    """Stands where a model's embeddings stood: the hidden states that come in go on unchanged."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        """Hidden states (windows, tokens, width) -> the same."""
        return inputs_embeds


def load_body(folder: Path) -> Any:
    """The encoder in a Hugging Face folder, float32, from safetensors alone.

    Raises:
        UserError: if its architecture isn't embeddings followed by `encoder.layer` (BERT, RoBERTa, XLM-R, …).
    """
    logging.set_verbosity_error()  # "pooler unexpected" is no news: only hidden states are used
    logging.disable_progress_bar()
    body = AutoModel.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        add_pooling_layer=False,
        attn_implementation="eager",  # for paragraphs on a CPU torch's fused attention costs a third of a training step
    )
    if not (hasattr(body, "embeddings") and hasattr(body, "encoder") and hasattr(body.encoder, "layer")):
        raise UserError(f"{folder}: {type(body).__name__} has no embeddings and encoder.layer; use a BERT-like encoder")
    return body.eval()


def split_layers(body: Any, layers: int) -> tuple[Any, Any]:
    """Lower part (embeddings and the first `layers` layers) and a copy of the rest, ready to be trained."""
    layers = min(layers, len(body.encoder.layer))
    lower, upper = copy.copy(body), copy.copy(body)
    for part in (lower, upper):
        part._modules = dict(body._modules)
        part.encoder = copy.copy(body.encoder)
        part.encoder._modules = dict(body.encoder._modules)
    lower.encoder.layer = nn.ModuleList(body.encoder.layer[:layers])
    upper.encoder.layer = nn.ModuleList(copy.deepcopy(list(body.encoder.layer[layers:])))
    upper.embeddings = Passthrough()
    return lower, upper


class FrozenLayers:
    """The frozen part. `states` gives each window's hidden states; if it `remembers`, it computes them once.

    A remembered window costs 4 bytes x tokens x width: 100 kB for a paragraph of 66 tokens at width 384. In bfloat16
    (`half`) it is computed in half the time, and its states differ by .03 at most.
    """

    def __init__(self, body: Any, pad: int, device: torch.device, remembers: bool) -> None:
        self.body, self.pad, self.device = body.to(device).requires_grad_(False), pad, device
        self.remembers = remembers
        self._known: dict[bool, dict[tuple[int, ...], Tensor]] = {False: {}, True: {}}

    def states(self, windows: Sequence[Sequence[int]], half: bool = False) -> list[Tensor]:
        """One float32 tensor (tokens, width) a window, in the order given."""
        keys, known = [tuple(window) for window in windows], self._known[half]
        found = {key: known[key] for key in keys if key in known}
        missing = sorted({key for key in keys if key not in found}, key=len)
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            for batch in token_batches([len(key) for key in missing], TOKENS_PER_BATCH, "encode"):
                ids, mask = pad_ids([missing[index] for index in batch], self.pad)
                output = self.body(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).last_hidden_state
                for row, index in enumerate(batch):
                    found[missing[index]] = output[row, : len(missing[index])].float().clone()
        if self.remembers:
            known.update(found)
        return [found[key] for key in keys]


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
    width = max(len(window) for window in windows)
    ids = torch.tensor([[*window, *[pad] * (width - len(window))] for window in windows])
    mask = torch.tensor([[1] * len(window) + [0] * (width - len(window)) for window in windows])
    return ids, mask


def pad_states(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Hidden states (windows, tokens, width) and attention mask (windows, tokens), padded to a multiple of `PAD_MULTIPLE`."""
    width = -(-max(len(state) for state in states) // PAD_MULTIPLE) * PAD_MULTIPLE
    hidden = states[0].new_zeros(len(states), width, states[0].shape[1])
    mask = torch.zeros(len(states), width, dtype=torch.long)
    for row, state in enumerate(states):
        hidden[row, : len(state)], mask[row, : len(state)] = state, 1
    return hidden, mask


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """(windows, tokens, width) -> (windows, width): the mean over real tokens, or the first token (`cls`)."""
    if how == "cls":
        return hidden[:, 0]
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)
