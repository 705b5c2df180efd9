"""Records -> entries: which field is what, and whether the text can be classified and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.intake import Entry, Fields

LANGUAGE = "language"


class RecordError(Exception):
    """Why a record, or the rest of a file from there on, can't be read."""


def entry_of(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> Entry:
    """A record's entry, with a reason if it can't be classified."""
    try:
        return sound(record(row, source, fallback, fields))
    except RecordError as error:
        return Entry(id=fallback, source=source, reason=str(error))


def record(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> Entry:
    """An entry by a record's columns; those that are not used are carried.

    Raises:
        RecordError: if there is no text, or a field is of another kind.
    """
    names = {fields.text, fields.id or "id", fields.title} - {None}
    if fields.text not in row:
        raise RecordError(f"no field {fields.text!r}; there are {', '.join(row)}; --text-field names the text")
    text, id_, title = row[fields.text], row.get(fields.id or "id"), row.get(fields.title or "")
    for name, value in ((fields.text, text), (fields.title, title)):
        if value is not None and not isinstance(value, str):
            raise RecordError(f"field {name!r} is no text but {type(value).__name__}")
    if isinstance(id_, dict | list | bool):
        raise RecordError(f"field {fields.id or 'id'!r} is {type(id_).__name__}; expected a text or number")
    language = row.get(LANGUAGE)
    return Entry(
        id=fallback if id_ is None or id_ == "" else str(id_),
        source=source,
        text=text or "",
        title=title or "",
        language=language if isinstance(language, str) else "",
        carried={name: value for name, value in row.items() if name not in names},
    )


def sound(entry: Entry) -> Entry:
    """The entry if it can be classified and written, else one with the reason why not."""
    if entry.reason:
        return entry
    flaw = "a NUL byte in the text" if "\0" in entry.text else "" if entry.text.strip() else "no text in it"
    try:
        msgspec.json.encode(entry)
    except UnicodeEncodeError:
        flaw = "bytes or halves of characters that are no Unicode text"
    return Entry(id=_printable(entry.id), source=entry.source, reason=flaw) if flaw else entry


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
