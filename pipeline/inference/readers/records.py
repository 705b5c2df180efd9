"""Records -> entries: which field is what, and whether the text can be classified and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import Fields, InputRecord

LANGUAGE = "language"


def input_record_or_reason(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> InputRecord:
    """A record's entry, with a reason if it can't be classified."""
    try:
        return validated(to_input_record(row, source, fallback, fields))
    except RecordError as error:
        return InputRecord(id=fallback, source=source, reason=str(error))


def to_input_record(row: Mapping[str, Any], source: str, fallback: str, fields: Fields) -> InputRecord:
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
    return InputRecord(
        id=fallback if id_ is None or id_ == "" else str(id_),
        source=source,
        text=text or "",
        title=title or "",
        language=language if isinstance(language, str) else "",
        carried={name: value for name, value in row.items() if name not in names},
    )


def validated(entry: InputRecord) -> InputRecord:
    """The entry if it can be classified and written, else one with the reason why not."""
    if entry.reason:
        return entry
    flaw = "a NUL byte in the text" if "\0" in entry.text else "" if entry.text.strip() else "no text in it"
    try:
        msgspec.json.encode(entry)
    except UnicodeEncodeError:
        flaw = "bytes or halves of characters that are no Unicode text"
    return InputRecord(id=_printable(entry.id), source=entry.source, reason=flaw) if flaw else entry


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
