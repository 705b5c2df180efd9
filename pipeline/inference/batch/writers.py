"""Rows as JSON lines -> whole outputs: JSONL, CSV or Parquet, by the ending of the file."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.io import atomic_write
from pipeline.core.schemas import ResultRow
from pipeline.core.storage import is_remote, put_file, put_stream

PARAGRAPH_KEYS = ResultRow.__struct_fields__
ARTICLE_KEYS = ("id", "source", "language", "paragraphs", "rejected", "themes", "shares", "evidence", "status", "model")
COLUMN_KINDS = {
    **dict.fromkeys(("position", "paragraphs", "rejected"), "int"),
    **dict.fromkeys(("themes", "undecided"), "list"),
    "why": "json",
}
"""Of our columns that are no text."""
THEME_COLUMNS = {"scores": "score", "shares": "share", "evidence": "evidence"}
"""Ours with a value for each theme, and what their columns in a flat table begin with."""
ROWS_AT_ONCE = 4096
"""Rows of one row group of Parquet."""


class TableColumns:
    """The columns of a flat table: ours, those by theme spread out, then the carried ones as they appeared.

    `kinds` are int, float, bool, text, list, or json for a carried column of mixed or nested values.
    """

    def __init__(self, ours: Sequence[str], themes: Sequence[str], carried: Mapping[str, str]) -> None:
        self.kinds: dict[str, str] = {}
        for column in ours:
            if column in THEME_COLUMNS:
                kind = "text" if column == "evidence" else "float"
                self.kinds |= {f"{THEME_COLUMNS[column]}_{theme}": kind for theme in themes}
            else:
                self.kinds[column] = COLUMN_KINDS.get(column, "text")
        self.kinds |= {name: kind or "text" for name, kind in carried.items()}

    def flat(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with a value, or None, for every column."""
        flat = dict.fromkeys(self.kinds)
        for name, value in row.items():
            if name in THEME_COLUMNS:
                for theme, entry in value.items():
                    cell = entry.get("text", entry["id"]) if name == "evidence" else entry
                    flat[f"{THEME_COLUMNS[name]}_{theme}"] = cell
            else:
                flat[name] = _as_text(value) if self.kinds[name] == "json" and value is not None else value
        return flat


def write_output(path: Path, pieces: Iterable[bytes], columns: TableColumns | None, folder: Path) -> None:
    """Writes rows, in pieces of JSON lines, to a file that appears whole; `folder` is for what is half done.

    Without `columns` it is JSONL whatever its ending.
    """
    unfinished = folder / f".whole{path.suffix}"
    if columns and path.suffix in WRITERS:
        WRITERS[path.suffix](unfinished, decoded(pieces), columns)
    elif is_remote(path):
        put_stream(path, pieces)
        return
    else:
        with unfinished.open("wb") as file:
            file.writelines(pieces)
    if is_remote(path):
        put_file(path, unfinished)
        return
    with atomic_write(path) as temporary:  # a rename, or a copy to another file system: whole either way
        shutil.move(unfinished, temporary)


def decoded(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Rows of pieces of JSON lines."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    for piece in pieces:
        yield from decoder.decode_lines(piece)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def write_rows_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: TableColumns) -> None:
    """UTF-8 with a header; lists as `a;b`, numbers as in JSON, nothing for None."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.kinds)
        for row in rows:
            writer.writerow([_cell(value) for value in columns.flat(row).values()])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(value)
    return "" if value is None else _as_text(value)


def write_rows_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: TableColumns) -> None:
    """Lists as lists of strings, scores as columns of doubles."""
    import pyarrow
    from pyarrow import parquet

    kinds = {
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "list": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, kinds.get(kind, pyarrow.string())) for name, kind in columns.kinds.items()])
    flat = map(columns.flat, rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(flat, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))


WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], TableColumns], None]] = {
    ".csv": write_rows_csv,
    ".parquet": write_rows_parquet,
}
OUTPUT_ENDINGS = (".jsonl", *WRITERS)
