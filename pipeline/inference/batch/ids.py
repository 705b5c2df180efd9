"""How many ids stand more than once, in bounded memory: eight bytes of each one's digest go to a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**26
"""Ids that are sorted at once: half a GB."""


class RepeatedIds:
    """Counts the different ids that stand more than once; a set of ten million ids would take a GB.

    The file is for their digests.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size = file, 0

    def note(self, ids: bytes) -> None:
        """Adds ids, eight bytes of a digest each."""
        self._size += self._file.write(ids)

    def count(self) -> int:
        """How many of them are there more than once: in several passes if there are many."""
        passes = 1 + self._size // 8 // AT_ONCE
        return sum(_repeated(np.concatenate([ids[ids % passes == at] for ids in self._ids()])) for at in range(passes))

    def _ids(self) -> Iterator[NDArray[np.uint64]]:
        self._file.seek(0)
        yield np.empty(0, dtype=np.uint64)
        while piece := self._file.read(8 * 2**20):
            yield np.frombuffer(piece, dtype=np.uint64)


def _repeated(ids: NDArray[np.uint64]) -> int:
    ids.sort()
    as_before = ids[1:] == ids[:-1]
    return int(np.count_nonzero(np.diff(as_before, prepend=False) & as_before))
