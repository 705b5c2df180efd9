"""Rows -> JSONL, CSV or Parquet, by the ending of the file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.schemas import ResultRow

PARAGRAPH_COLUMNS = ResultRow.__struct_fields__
ARTICLE_COLUMNS = (
    "id",
    "source",
    "language",
    "paragraphs",
    "rejected",
    "themes",
    "shares",
    "evidence",
    "status",
    "model",
)
COLUMN_KINDS = {
    **dict.fromkeys(("position", "paragraphs", "rejected"), "int"),
    **dict.fromkeys(("themes", "undecided"), "list"),
    "why": "json",
}
THEME_COLUMNS = {"scores": "score", "shares": "share", "evidence": "evidence"}
ROWS_AT_ONCE = 4096


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
                for theme, part in value.items():
                    flat[f"{THEME_COLUMNS[name]}_{theme}"] = (
                        part.get("text", part["id"]) if name == "evidence" else part
                    )
            else:
                flat[name] = _words(value) if self.kinds[name] == "json" and value is not None else value
        return flat


def _words(value: Any) -> str:
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
    return "" if value is None else _words(value)


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
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for several in _batches(rows):
            flat = [columns.flat(row) for row in several]
            writer.write_table(pyarrow.Table.from_pylist(flat, schema=schema))


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    stream = iter(rows)
    while several := list(islice(stream, ROWS_AT_ONCE)):
        yield several


WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], TableColumns], None]] = {
    ".csv": write_rows_csv,
    ".parquet": write_rows_parquet,
}
OUTPUT_ENDINGS = (".jsonl", *WRITERS)


def check_output_ending(path: Path) -> None:
    """Refuses a name that doesn't say its format.

    Raises:
        UserError: if it doesn't.
    """
    if path.suffix not in OUTPUT_ENDINGS:
        raise UserError(f"{path}: ends in none of {', '.join(OUTPUT_ENDINGS)}; the ending says what is written")
