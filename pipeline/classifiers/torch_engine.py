"""What `engine` computes, in torch, for where OpenVINO is not installed: the same answers, several times as slowly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from pipeline.classifiers.encoder import TOKENS_PER_BATCH, pad_ids, pool, token_batches
from pipeline.classifiers.quantization import Shape, Tensors, to_float32
from pipeline.core.arrays import Array


class TorchEngine:
    """Token windows -> logits and sentence vectors, in float32; `folder` holds the encoder's config.json."""

    def __init__(self, tensors: Tensors, shape: Shape, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        wide = {name: torch.from_numpy(tensor) for name, tensor in to_float32(tensors, shape.layers).items()}
        self._head = {name: wide.pop(name) for name in list(wide) if name.startswith("head.")}
        self._body = AutoModel.from_config(config, add_pooling_layer=False).eval()
        self._body.load_state_dict(wide)
        self._pad, self._pooling = int(config.pad_token_id or 0), shape.pooling

    def __call__(self, windows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Logits (windows, themes) and sentence vectors (windows, width) as the head sees them."""
        head, order = self._head, sorted(range(len(windows)), key=lambda index: len(windows[index]))
        logits, vectors = (np.zeros((len(windows), size)) for size in head["head.weight"].shape)
        with torch.no_grad():
            for batch in token_batches([len(windows[index]) for index in order], TOKENS_PER_BATCH):
                several = [order[number] for number in batch]
                ids, mask = pad_ids([windows[index] for index in several], self._pad)
                hidden = self._body(input_ids=ids, attention_mask=mask).last_hidden_state
                placed = (pool(hidden, mask, self._pooling) - head["head.centre"]) / head["head.scale"]
                logits[several] = placed @ head["head.weight"].T + head["head.bias"]
                vectors[several] = placed
        return logits, vectors
