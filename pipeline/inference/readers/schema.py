"""What readers give: a record for each text to classify, and for each thing that can't be read.

`files` finds and opens inputs, `kinds` says what they are, `formats` cuts what is inside into records, `pages` and
`fragments` take the text out of HTML. Everything streams: no more than one record is held, and none may be larger than
`MAX_RECORD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from pipeline.core.errors import RecordError
from pipeline.core.schemas import Article
from pipeline.text.language_names import bcp47

MAX_RECORD = 16 * 2**20
"""Bytes of one text, line or page: the longest novel has 6 MB; a line of 200 MB is a broken file."""
MAX_DEPTH = 100
"""Levels of a carried value: what is deeper can't be written everywhere, and nobody reads it."""
MAX_NAMES = 40
"""Columns that a message names."""

Markup = Literal["", "page", "fragment"]


class InputRecord(Article, frozen=True, kw_only=True):
    """A text to classify, or with a `reason` something that can't be: it goes to the quarantine.

    `language` is the one that was given ("" if none), `carried` the record's other columns. `markup` says that
    `text` is HTML: a whole page, whose article is still to be taken out, or a fragment, all of which counts.
    """

    text: str = ""
    title: str = ""
    language: str = ""
    carried: dict[str, Any] = {}
    markup: Markup = ""
    reason: str = ""


class Row(NamedTuple):
    """A row of a table or list: its number for ids, its place for messages, its values or why they can't be read.

    Number 0 is a file that is one row.
    """

    number: int
    place: str
    values: Mapping[str, Any] | RecordError


@dataclass(frozen=True)
class Fields:
    """Where records have what; a column of a nested record is a path with dots.

    Those that are None have their usual name and may be missing, the text excepted. `markup` says that all texts are
    fragments of HTML or that none is (by default the first records show it), `delimiter` what parts the cells of CSV.
    """

    text: str = "text"
    id: str | None = None
    title: str | None = None
    markup: Literal["html", "text"] | None = None
    delimiter: str | None = None


def input_record_or_reason(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> InputRecord:
    """The record of a row, with a reason if it can't be classified."""
    try:
        return validated(to_input_record(row, source, fallback, fields))
    except RecordError as error:
        return InputRecord(id=fallback, source=source, reason=str(error))


def to_input_record(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> InputRecord:
    """A row's record: its columns as `fields` name them, the others carried; `fallback` is its id if it has none.

    Raises:
        RecordError: if there is no text, or a field is of another kind.
    """
    id_field = fields.id or ("id" if "id" in row or "_id" not in row else "_id")
    if fields.text not in row and look_up(row, fields.text) is None:
        raise RecordError(f"no field {fields.text!r}; there are {_names(row)}; --text-field names the text")
    text, id_ = _text(row, fields.text), look_up(row, id_field)
    if isinstance(id_, dict):
        id_ = unwrapped(id_)
    title = _text(row, fields.title) if fields.title else ""
    if isinstance(id_, (dict, list, bool)):
        raise RecordError(f"field {id_field!r} is {type(id_).__name__}; expected a text or number")
    used = (fields.text, id_field, fields.title)
    carried = {name: value for name, value in row.items() if name not in used}
    for path in used:
        if path and "." in path:
            carried = _without(carried, path)
    return InputRecord(
        id=fallback if id_ is None or id_ == "" else str(id_),
        source=source,
        text=text,
        title=title,
        language=bcp47(row["language"]) if "language" in row else "",
        carried=carried,
    )


def look_up(row: Any, path: str) -> Any:
    """The value of a column, or of a path with dots through nested ones; None if there is none.

    Through a list it leads to the values of all its entries: `blocks.text`.
    """
    if not isinstance(row, dict | Mapping):  # dict first: the abstract class alone takes five times as long
        found = [look_up(entry, path) for entry in row] if isinstance(row, list) else []
        return [value for value in found if value is not None] or None
    if path in row or "." not in path:
        return row.get(path)
    first, _, rest = path.partition(".")
    return look_up(row.get(first), rest)


def unwrapped(value: Any) -> Any:
    """The inner value of MongoDB's {"$oid": …}, {"$numberInt": …} and the like."""
    while isinstance(value, dict) and len(value) == 1 and str(next(iter(value))).startswith("$"):
        (value,) = value.values()
    return value


def _text(row: Mapping[str, Any], path: str) -> str:
    """A text, or a list of paragraphs."""
    value = look_up(row, path)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(entry is None or isinstance(entry, str) for entry in value):
        return "\n".join(filter(None, value))
    if value is not None:
        raise RecordError(f"field {path!r} is no text but {type(value).__name__}")
    return ""


def _names(row: Mapping[str, Any]) -> str:
    """The names of a row's columns, with dots for those of nested ones."""
    nested = {name: value if isinstance(value, Mapping) else {} for name, value in row.items()}
    names = [f"{name}.{inner}" if inner else name for name, values in nested.items() for inner in values or [""]]
    return ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")


def _without(row: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The row without what the path leads to through nested columns."""
    first, _, rest = path.partition(".")
    if not isinstance(row.get(first), Mapping):
        return {name: value for name, value in row.items() if name != path}
    return {**row, first: _without(row[first], rest)}


def validated(record: InputRecord) -> InputRecord:
    """The record if it can be classified and written, else one with the reason why not."""
    if record.reason:
        return record
    flaw = "a NUL byte in the text" if "\0" in record.text else "" if record.text.strip() else "no text in it"
    try:
        data = msgspec.json.encode(record)
        if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _deeper(record.carried, MAX_DEPTH):
            flaw = f"a value nested more than {MAX_DEPTH} levels deep"
    except UnicodeEncodeError:
        flaw = "bytes or halves of characters that are no Unicode text"
    except RecursionError:
        flaw = f"a value nested more than {MAX_DEPTH} levels deep"
    if not flaw:
        return record
    printable_id = record.id.encode(errors="replace").decode()
    return InputRecord(id=printable_id, source=record.source, reason=flaw)


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(
        _deeper(entry, levels - 1) for entry in (value.values() if isinstance(value, dict) else value)
    )
