"""Labelled tables from anywhere: JSONL, CSV or TSV with text and themes, perhaps with id, article, language, split."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import RecordError, UserError
from pipeline.core.io import Say, read_bytes, read_numbered_jsonl
from pipeline.core.schemas import Labels, Record, Split
from pipeline.labelling.themes import ThemeSettings, check_themes, says_something
from pipeline.text.encodings import decode
from pipeline.text.language import detect
from pipeline.text.language_names import bcp47
from pipeline.text.normalize import prepare

COLUMNS = ("text", "themes", "id", "article", "language", "split")
"""What a table may have, in any case; it must have the first, CSV the second, too. Others are passed over."""
LABEL_STUDIO_COLUMN = "lead_time"
"""A column of every Label Studio export: the seconds that an annotation took."""
_SEPARATORS = ",;\t|"
_WITHOUT = {"article": "each row is held out by itself", "language": "it is told by the text of each row"}
_LISTED = 10
"""So many columns or lines are listed in an error at most."""


class TableRow(Record, frozen=True):
    """A row of a labelled table from anywhere. `themes` None means not annotated: the rules speak."""

    id: str
    article: str
    language: str
    text: str
    themes: tuple[str, ...] | None = None
    split: Split | None = None


def read_table(path: Path, labels: Labels) -> list[TableRow]:
    """A labelled table, its themes under their present names.

    Raises:
        UserError: as `numbered_rows` and `check_rows` do.
    """
    return check_rows(path, numbered_rows(path), labels)


def check_rows(path: Path, numbered: Sequence[tuple[int, TableRow]], labels: Labels) -> list[TableRow]:
    """The rows of `numbered_rows`, with their themes under their present names.

    Raises:
        UserError: naming file and line, if an id stands twice or a theme is not a label.
    """
    seen: dict[str, int] = {}
    rows: list[TableRow] = []
    for number, row in numbered:
        place = f"{path}:{number}"
        if row.id in seen:
            raise UserError(f"{place}: id {row.id!r} stands twice, in line {seen[row.id]}, too; make the ids unique")
        seen[row.id] = number
        rows.append(_under_present_names(row, labels))
        if rows[-1].themes is not None:
            check_themes(rows[-1].themes, labels.names, labels, place)
    return rows


def _under_present_names(row: TableRow, labels: Labels) -> TableRow:
    themes = None if row.themes is None or not says_something(row.themes, labels) else labels.present(row.themes)
    return msgspec.structs.replace(row, themes=themes)


def numbered_rows(
    path: Path, columns: Mapping[str, str] | None = None, say: Say | None = None
) -> list[tuple[int, TableRow]]:
    """The rows with the lines that they begin in, under whatever names their themes had.

    Themes are a list, or text such as `a;b`; an empty cell is "no theme", JSON's null or a missing key is not
    annotated. A row without id has its line for one, without article it is one by itself, and a language that is not
    said is found out. `columns` are names in the table, in any case, by ours.

    Raises:
        UserError: naming file and line, if a column is missing, a text is empty or a value does not fit.
    """
    if read_bytes(path).lstrip().startswith(b"["):  # Label Studio's JSON and JSON-MIN, among others
        raise UserError(f"{path}: a JSON array, not an object a line; write each with text and themes on its line")
    if path.suffix in (".csv", ".tsv"):
        header, numbered = _read_delimited(path)
        needed: Sequence[str] = COLUMNS[:2]
    else:
        numbered = read_numbered_jsonl(path, dict[str, Any])
        header, needed = list(dict.fromkeys(name for _, values in numbered for name in values)), COLUMNS[:1]
    if not numbered:
        raise UserError(f"{path}: no rows; give a table with text and themes")
    names = _find_columns(path, header, columns or {}, needed)
    _check_texts(path, names["text"], numbered)
    for name, way in _WITHOUT.items():
        if say and name not in names:
            say(f"{path}: no column {name}; {way}")
    return [(number, _table_row(number, values, names, f"{path}:{number}")) for number, values in numbered]


def _check_texts(path: Path, column: str, numbered: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    empty = []
    for number, values in numbered:
        if not isinstance(text := values.get(column) or "", str):
            raise UserError(f"{path}:{number}: {column} is {text!r}, expected text; mend it")
        if not prepare(text):
            empty.append(str(number))
    if empty:
        shown = ", ".join(empty[:_LISTED]) + " and more" * (len(empty) > _LISTED)
        raise UserError(f"{path}:{empty[0]}: {column} is empty in line {shown}; give it a text, or take the row out")


def _read_delimited(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """Header and rows. The separator is what the header has most of: Excel writes `;` where numbers have commas."""
    text = decode(read_bytes(path), str(path))
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        for row in reader:
            values = {name: row[name] or "" for name in header}
            begin = reader.line_num - sum(value.count("\n") for value in values.values())
            if any(more := row.get(None, ())):
                flaw = f"{len(header) + len(more)} values, the header names {len(header)}"
                raise UserError(f"{path}:{begin}: {flaw}; quote texts that hold {separator!r}")
            rows.append((begin, values))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}; mend the quoting") from error
    return header, rows


def _find_columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str], needed: Sequence[str]
) -> dict[str, str]:
    """The table's own name of each of our columns that it has."""
    present = {name.strip().casefold(): name for name in reversed(header)}
    there = f"there are {', '.join(header[:_LISTED])}" + " and more" * (len(header) > _LISTED)
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise UserError(f"--column {ours}={theirs}: {ours} is not one of {', '.join(COLUMNS)}")
        if theirs.strip().casefold() not in present:
            raise UserError(f"{path}:1: no column {theirs}; {there}")
    wanted = {ours: columns.get(ours, ours).strip().casefold() for ours in COLUMNS}
    names = {ours: present[theirs] for ours, theirs in wanted.items() if theirs in present}
    if missing := [name for name in needed if name not in names]:
        way = f"rename yours, or give `fit` --column {missing[0]}=NAME"
        if LABEL_STUDIO_COLUMN in present:
            way = "of a Label Studio export rename the column of choices to themes"
        raise UserError(f"{path}:1: no column {', '.join(missing)}; {there}; {way}")
    return names


def _table_row(number: int, values: Mapping[str, Any], names: Mapping[str, str], place: str) -> TableRow:
    """A row from its cells by the table's own names of columns."""
    cells = {ours: values.get(theirs) for ours, theirs in names.items()}
    text, id_ = str(cells["text"]), _said(cells.get("id")) or str(number)
    split = _said(cells.get("split")).lower() or None
    if split not in (None, "train", "dev", "test"):
        raise UserError(f"{place}: split {split!r} is not train, dev or test; mend it")
    try:
        language = bcp47(cells.get("language")) or detect(text)
    except RecordError as error:
        raise UserError(f"{place}: {error}") from error
    themes = _themes(cells.get("themes"), f"{place}: {names.get('themes')}")
    article = _said(cells.get("article")) or id_
    return TableRow(id=id_, article=article, language=language, text=text, themes=themes, split=split)  # type: ignore[arg-type]


def _said(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _themes(value: Any, place: str) -> tuple[str, ...] | None:
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list | None) or not all(isinstance(part, str) for part in parts or ()):
        raise UserError(f"{place}: is {value!r}, expected a list of themes, or text such as a;b; mend it")
    return None if parts is None else tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def table_themes(path: Path, rows: Sequence[TableRow]) -> ThemeSettings:
    """The themes that a table's rows have, in alphabetical order; if each row has one, they exclude each other.

    Raises:
        UserError: if there are none.
    """
    labelled = [row.themes for row in rows if row.themes is not None]
    labels = sorted({theme for themes in labelled for theme in themes})
    if not labels:
        raise UserError(f"{path}: themes: none in all {len(rows):,} rows; label some, or say --column themes=NAME")
    single = all(len(themes) == 1 for themes in labelled)
    return ThemeSettings(task="single-label" if single else "multi-label", labels=labels)


def check_variety(path: Path, rows: Sequence[TableRow]) -> None:
    """Whether there is anything to tell apart.

    Raises:
        UserError: if no row has themes, or all rows have the same.
    """
    distinct = {row.themes for row in rows if row.themes is not None}
    if len(distinct) < 2:
        shown = ", ".join(next(iter(distinct), ())) or "none"
        flaw = f"all {len(rows):,} rows have the same themes ({shown})"
        raise UserError(f"{path}: {flaw}; a model learns from rows that differ: add some, or name another column")
