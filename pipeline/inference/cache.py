"""Scores of texts that a model has seen before, in an SQLite file a model; several processes may share it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError

ASKED = 500
"""Keys a query: SQLite takes at least 999 parameters."""


class ScoreCache:
    """Score vectors by model and prepared text, as doubles.

    Raises:
        UserError: on any use, if the file can't be written or is no cache.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._path = folder / f"{model}.sqlite"
        with self._named():
            folder.mkdir(parents=True, exist_ok=True)
            self._store = sqlite3.connect(self._path, timeout=60)
            self._store.execute("PRAGMA journal_mode=WAL")
            self._store.execute("PRAGMA synchronous=OFF")  # what a power cut loses is computed again
            self._store.execute("CREATE TABLE IF NOT EXISTS scores (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self._path}: no cache that can be used ({error}); delete it or name another") from error

    def get(self, texts: Sequence[str]) -> dict[str, list[float]]:
        """The scores of those texts that are known."""
        keys = {_key(text): text for text in texts}
        asked, found = list(keys), {}
        with self._named():
            for start in range(0, len(asked), ASKED):
                several = asked[start : start + ASKED]
                marks = ",".join("?" * len(several))
                rows = self._store.execute(f"SELECT text, vector FROM scores WHERE text IN ({marks})", several)
                found.update({keys[key]: np.frombuffer(vector).tolist() for key, vector in rows})
        return found

    def put(self, scores: Mapping[str, Sequence[float]]) -> None:
        """Remembers scores."""
        rows = [(_key(text), np.asarray(vector, dtype=np.float64).tobytes()) for text, vector in scores.items()]
        with self._named(), self._store:
            self._store.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?)", rows)


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
