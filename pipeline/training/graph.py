"""A trained transformer -> an OpenVINO graph of encoder and head, in float32, in 16 bits or in int8.

In BERT-like encoders a few channels have values a hundred times as large as the others. So NNCF first moves part of
that excess into the weights (SmoothQuant, Xiao et al. 2023). Ranges of inputs are fixed by what training texts show, so
that an answer does not depend on the other texts in its batch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import nncf
import numpy as np
import openvino as ov
import torch
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import embedding

from pipeline.classifiers.encoder import Head, load_body, pool
from pipeline.classifiers.openvino import PADDING
from pipeline.training.prune_vocabulary import Ids

Form = Literal["int8", "bfloat16", "float32"]
SMOOTHQUANT_ALPHA = 0.6
"""How much of the excess goes into the weights. Mean change of a log-odds at .5: .48, at .7: .10; at .6, with the
layers behind gelu in 16 bits: .04."""
NOT_IN_INT8 = r".*embeddings.*", r".*attention\.self/.*", r".*layer\.\d+\.output\.dense.*", r".*head.*"
"""What stays as it is: words, which have scales of their own; products of queries, keys and values; the layers behind
gelu, whose values spread too widely (a third of the arithmetic, nearly all of the change); the head, which decides."""


class WordVectors(nn.Module):
    """Word vectors in int8 with a scale for each, which OpenVINO keeps as small: as exact as they are in bfloat16."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.scale = nn.Buffer(vectors.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127)
        self.rounded = nn.Buffer((vectors / self.scale).round().to(torch.int8))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (windows, tokens) -> vectors (windows, tokens, width)."""
        return embedding(ids, self.rounded).float() * embedding(ids, self.scale)


class TracedNetwork(nn.Module):
    """Ids (windows, tokens), `PADDING` behind a window's end -> logits and sentence vectors as the head sees them."""

    def __init__(self, body: Any, head: Head, pooling: str) -> None:
        super().__init__()
        self.body, self.head, self.pooling = body, head, pooling

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Both float32, of shape (windows, themes) and (windows, width)."""
        is_token = ids > PADDING
        # A select: computed as (is_token - 1) * 1e4 this would look like the decoding of an int8 number to OpenVINO, be
        # moved through the sum, and make attention uniform.
        mask = torch.where(is_token, 0.0, -1e4)[:, None, None]
        hidden = self.body(input_ids=ids.clamp(min=0), attention_mask=mask).last_hidden_state
        vectors = self.head.standardise(pool(hidden, is_token, self.pooling))
        return self.head.linear(vectors), vectors


def load_network(folder: Path, pooling: str, kept: Ids, form: Form) -> TracedNetwork:
    """The network in a transformer's folder, with the word vectors of the pieces `kept` alone."""
    body, tensors = load_body(folder / "encoder"), load_file(folder / "head.safetensors")
    words = body.embeddings.word_embeddings.weight.detach()[torch.from_numpy(kept)]
    whole: Any = nn.Embedding.from_pretrained  # untyped
    body.embeddings.word_embeddings = whole(words) if form == "float32" else WordVectors(words)
    themes, width = tensors["linear.weight"].shape
    head = Head(width, themes)
    head.load_state_dict(tensors)
    return TracedNetwork(body, head, pooling).eval()


def save_graph(folder: Path, pooling: str, kept: Ids, form: Form, windows: Sequence[Sequence[int]], path: Path) -> None:
    """Writes the graph of the transformer in `folder` as `path` and a .bin file beside it.

    Its word vectors are those of the pieces `kept`; for int8 `windows` of token ids show which values inputs take.
    """
    network = load_network(folder, pooling, kept, form)
    example = torch.tensor([[0, 1, 2], [0, 1, PADDING]], dtype=torch.int32)
    with warnings.catch_warnings(action="ignore"):  # tracing touches what torch and transformers mean to take out
        graph = ov.convert_model(network, example_input=example, input=[ov.PartialShape([-1, -1])])
    if form != "int8":
        ov.save_model(graph, path, compress_to_fp16=form == "bfloat16")
        return
    with TemporaryDirectory() as temporary:  # in 16 bits first, or what int8 does not suit would be saved in 32
        halved = Path(temporary, path.name)
        ov.save_model(graph, halved, compress_to_fp16=True)
        ov.save_model(_quantized(ov.Core().read_model(halved), windows), path)


def _quantized(graph: ov.Model, windows: Sequence[Sequence[int]]) -> ov.Model:
    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        graph,
        nncf.Dataset([np.array([window], np.int32) for window in windows]),  # no padding, it would count
        subset_size=len(windows),
        preset=nncf.QuantizationPreset.MIXED,  # inputs from their lowest to their highest value, not to minus it
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(patterns=list(NOT_IN_INT8)),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.DISABLE,  # see `HAS_VNNI`
            disable_bias_correction=True,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=SMOOTHQUANT_ALPHA),
        ),
    )
