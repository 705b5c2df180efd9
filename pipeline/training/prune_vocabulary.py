"""A unigram tokenizer without the pieces that no text of the given alphabets needs.

A multilingual encoder knows a hundred languages, and four fifths of its weights are the vectors of their pieces. The
best pieces for a text are the best among fewer, too, as long as all of them are kept: such a text is cut as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def needed_ids(tokenizer: dict[str, Any], alphabet: Iterable[str]) -> Ids:
    """Ids of the pieces, in order, whose every letter is in the alphabet, and of all without a letter.

    `tokenizer` is the content of tokenizer.json. Of one that is no unigram model all are needed.
    """
    if tokenizer["model"]["type"] != "Unigram":
        return np.arange(len(tokenizer["model"]["vocab"]))
    pieces = [piece for piece, _ in tokenizer["model"]["vocab"]]
    special = {token["id"] for token in tokenizer["added_tokens"]} | {tokenizer["model"]["unk_id"]}
    letters = {case for letter in alphabet for case in (letter.lower(), letter.upper())}
    kept = (id_ in special or _within(piece, letters) for id_, piece in enumerate(pieces))
    return np.flatnonzero(list(kept))


def _within(piece: str, letters: set[str]) -> bool:
    return all(not character.isalpha() or character in letters for character in piece)


def prune_vocabulary(tokenizer: dict[str, Any], kept: Sequence[int] | Ids) -> dict[str, Any]:
    """The same tokenizer with these pieces alone, numbered anew in their order."""
    new = {int(old): number for number, old in enumerate(kept)}
    model = dict(tokenizer["model"])
    if len(new) == len(model["vocab"]):
        return tokenizer
    model["vocab"] = [model["vocab"][old] for old in new]
    model["unk_id"] = new[model["unk_id"]]
    added = [token | {"id": new[token["id"]]} for token in tokenizer["added_tokens"]]
    return tokenizer | {
        "model": model,
        "added_tokens": added,
        "post_processor": _renumbered(tokenizer["post_processor"], new),
    }


def _renumbered(part: Any, new: dict[int, int]) -> Any:
    """A post-processor with the new ids of its tokens, which stand under `ids`, or after their names (`cls`, `sep`)."""
    if isinstance(part, list):
        return [_renumbered(each, new) for each in part]
    if not isinstance(part, dict):
        return part
    ids = {"ids": lambda value: [new[id_] for id_ in value]}
    pairs = {name: (lambda value: [value[0], new[value[1]]]) for name in ("cls", "sep")}
    changes = ids | pairs
    return {name: changes[name](value) if name in changes else _renumbered(value, new) for name, value in part.items()}
