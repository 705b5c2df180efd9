"""Rows as many files of Parquet in a folder, for what is too much for one: each by itself, the manifest last.

Readers of such folders (pyarrow, DuckDB, Spark) take all its files as one table and pass over names that begin with _.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from pipeline.core.io import to_json
from pipeline.core.storage import absolute, begin_folder, names_in, put
from pipeline.inference.batch.shards import read_section
from pipeline.inference.batch.writers import TableColumns, decoded, write_rows_parquet

SHARDS_A_FILE = 256
"""Some 90 MB of rows as JSON, 15 as Parquet."""
_MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Shards:
    """A section of the shards in a folder, and the columns of its table."""

    folder: Path
    section: str
    columns: TableColumns


@dataclass(frozen=True)
class _File:
    """One of the files: where it goes, and the shards whose rows it holds."""

    path: Path
    shards: Shards
    names: Sequence[str]

    def __call__(self) -> dict[str, Any]:
        """Writes it; its entry in the manifest."""
        rows, shards = 0, self.shards

        def counted() -> Iterator[dict[str, Any]]:
            nonlocal rows
            for row in decoded(read_section(shards.folder / name, shards.section) for name in self.names):
                rows += 1
                yield row

        with TemporaryDirectory() as folder:
            unfinished = Path(folder, "rows")
            write_rows_parquet(unfinished, counted(), shards.columns)
            data = unfinished.read_bytes()
        put(self.path, data)
        return {"name": self.path.name, "rows": rows, "sha256": hashlib.sha256(data).hexdigest()}


Map = Callable[[Callable[[_File], dict[str, Any]], Iterable[_File]], Iterable[dict[str, Any]]]


def write_many(folder: Path, shards: Shards, names: Sequence[str], map_: Map) -> None:
    """Writes the rows of the shards of these names into a folder; without its manifest it is not complete.

    Of an earlier run's files there none stays.
    """
    begin_folder(folder)
    (folder / _MANIFEST).unlink(missing_ok=True)
    places = range(0, len(names), SHARDS_A_FILE)
    paths = [absolute(folder) / f"{shards.section}-{number:06d}.parquet" for number in range(len(places))]
    files = [_File(path, shards, names[at : at + SHARDS_A_FILE]) for path, at in zip(paths, places, strict=True)]
    entries = list(tqdm(map_(_write, files), total=len(files), unit="file", disable=None, leave=False))
    for name in names_in(folder) - {path.name for path in paths}:
        if re.fullmatch(rf"{shards.section}-\d{{6}}\.parquet", name):
            (folder / name).unlink()
    put(folder / _MANIFEST, to_json({"rows": sum(entry["rows"] for entry in entries), "files": entries}))


def _write(file: _File) -> dict[str, Any]:
    return file()
