"""Scores of texts that a model has seen before, in one SQLite file for each model; several processes may share it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from weakref import finalize

import numpy as np

from pipeline.core.errors import UserError

KEYS_AT_ONCE = 500
"""Keys in one query: every SQLite takes 999 parameters, older ones no more."""


class ScoreCache:
    """Score vectors by model and prepared text, as doubles.

    Raises:
        UserError: on any use, if the file can't be written or is no cache.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._path = folder / f"{model}.sqlite"
        with self._errors_as_user_errors():
            folder.mkdir(parents=True, exist_ok=True)
            self._store = sqlite3.connect(self._path, timeout=60)
            finalize(self, self._store.close)  # when the classifier goes, or Python ends
            self._store.execute("PRAGMA journal_mode=WAL")
            self._store.execute("PRAGMA synchronous=OFF")  # what a power cut loses is computed again
            self._store.execute("CREATE TABLE IF NOT EXISTS scores (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    @contextmanager
    def _errors_as_user_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self._path}: no cache that can be used ({error}); delete it or name another") from error

    def get(self, texts: Sequence[str]) -> dict[str, list[float]]:
        """The scores of those texts that are known."""
        texts_by_key = {_key(text): text for text in texts}
        keys, scores = list(texts_by_key), {}
        with self._errors_as_user_errors():
            for start in range(0, len(keys), KEYS_AT_ONCE):
                chunk = keys[start : start + KEYS_AT_ONCE]
                query = f"SELECT text, vector FROM scores WHERE text IN ({','.join('?' * len(chunk))})"
                for key, vector in self._store.execute(query, chunk):
                    scores[texts_by_key[key]] = np.frombuffer(vector).tolist()
        return scores

    def put(self, scores: Mapping[str, Sequence[float]]) -> None:
        """Remembers scores."""
        rows = [(_key(text), np.asarray(vector, dtype=np.float64).tobytes()) for text, vector in scores.items()]
        with self._errors_as_user_errors(), self._store:
            self._store.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?)", rows)


def _key(text: str) -> bytes:
    """16 bytes: that two of ten billion texts have the same key has a chance below 1 in 10^18."""
    return blake2b(text.encode(), digest_size=16).digest()
