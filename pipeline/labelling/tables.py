"""Labelled tables from anywhere: JSONL, CSV or TSV with id, article, language, text, themes and optional split."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import read_bytes, read_numbered_jsonl
from pipeline.core.schemas import Labels, Record, Split
from pipeline.labelling.themes import check_themes, says_something
from pipeline.text.encodings import decode

COLUMNS = ("id", "article", "language", "text", "themes")
LABEL_STUDIO_COLUMN = "lead_time"
"""A column of every Label Studio export: the seconds that an annotation took."""


class TableRow(Record, frozen=True):
    """A row of a labelled table from anywhere. `themes` None means not annotated: the rules speak."""

    id: str
    article: str
    language: str
    text: str
    themes: tuple[str, ...] | None = None
    split: Split | None = None


def read_table(path: Path, labels: Labels) -> list[TableRow]:
    """A labelled table in JSONL, or CSV/TSV with `themes` as `a;b` (an empty cell is "no theme").

    Raises:
        UserError: naming file and line, if a row does not fit, an id stands twice, or a theme is not a label.
    """
    seen: set[str] = set()
    rows: list[TableRow] = []
    for number, row in numbered_rows(path):
        place = f"{path}:{number}"
        if row.id in seen:
            raise UserError(f"{place}: id {row.id!r} stands twice; make the ids unique")
        seen.add(row.id)
        rows.append(_under_present_names(row, labels))
        if rows[-1].themes is not None:
            check_themes(rows[-1].themes, labels.names, labels, place)
    return rows


def _under_present_names(row: TableRow, labels: Labels) -> TableRow:
    themes = None if row.themes is None or not says_something(row.themes, labels) else labels.present(row.themes)
    return msgspec.structs.replace(row, themes=themes)


def numbered_rows(path: Path) -> list[tuple[int, TableRow]]:
    """The rows with their lines, under whatever names their themes had.

    Raises:
        UserError: naming file and line, if a row does not fit.
    """
    if read_bytes(path).lstrip().startswith(b"["):  # Label Studio's JSON and JSON-MIN, among others
        raise UserError(f"{path}: a JSON array, not an object a line; write each with {', '.join(COLUMNS)} on its line")
    return _read_delimited(path) if path.suffix in (".csv", ".tsv") else read_numbered_jsonl(path, TableRow)


def _read_delimited(path: Path) -> list[tuple[int, TableRow]]:
    text = decode(read_bytes(path), str(path))
    dialect = "excel-tab" if path.suffix == ".tsv" else "excel"
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect, strict=True)
    present = reader.fieldnames or ()
    missing = [name for name in COLUMNS if name not in present]
    if missing:
        way = "; of a Label Studio export rename the column of choices to themes, add the others" * (
            LABEL_STUDIO_COLUMN in present
        )
        raise UserError(f"{path}:1: no column {', '.join(missing)}; there are {', '.join(present)}{way}")
    rows = []
    try:
        for row in reader:
            themes = tuple(theme.strip() for theme in (row["themes"] or "").split(";") if theme.strip())
            split: Any = row.get("split") or None
            if split not in (None, "train", "dev", "test"):
                raise UserError(f"{path}:{reader.line_num}: split {split!r} is not train, dev or test; mend it")
            facts = {name: row[name] or "" for name in COLUMNS if name != "themes"}
            rows.append((reader.line_num, TableRow(**facts, themes=themes, split=split)))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}; mend the quoting") from error
    return rows
