"""What readers give: a record for each text to classify, and for each thing that can't be read.

`files` finds and opens inputs, `formats` cuts what is inside into records, `pages` takes the article out of HTML.
Everything streams: no more than one record is held, and none may be larger than `MAX_RECORD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.core.errors import RecordError
from pipeline.core.schemas import Article

MAX_RECORD = 16 * 2**20
"""Bytes of one text, line or page: the longest novel has 6 MB; a line of 200 MB is a broken file."""


class InputRecord(Article, frozen=True, kw_only=True):
    """A text to classify, or with a `reason` something that can't be: it goes to the quarantine.

    `language` is the one that was given ("" if none), `carried` the record's other columns, `markup` says that `text`
    is a page whose article is still to be taken out.
    """

    text: str = ""
    title: str = ""
    language: str = ""
    carried: dict[str, Any] = {}
    markup: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Fields:
    """Columns of records. Those that are None have their usual name and may be missing, the text excepted."""

    text: str = "text"
    id: str | None = None
    title: str | None = None


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
    id_field = fields.id or "id"
    if fields.text not in row:
        raise RecordError(f"no field {fields.text!r}; there are {', '.join(row)}; --text-field names the text")
    text, id_, title = row[fields.text], row.get(id_field), row.get(fields.title or "")
    for name, value in ((fields.text, text), (fields.title, title)):
        if value is not None and not isinstance(value, str):
            raise RecordError(f"field {name!r} is no text but {type(value).__name__}")
    if isinstance(id_, dict | list | bool):
        raise RecordError(f"field {id_field!r} is {type(id_).__name__}; expected a text or number")
    language = row.get("language")
    return InputRecord(
        id=fallback if id_ is None or id_ == "" else str(id_),
        source=source,
        text=text or "",
        title=title or "",
        language=language if isinstance(language, str) else "",
        carried={name: value for name, value in row.items() if name not in (fields.text, id_field, fields.title)},
    )


def validated(record: InputRecord) -> InputRecord:
    """The record if it can be classified and written, else one with the reason why not."""
    if record.reason:
        return record
    flaw = "a NUL byte in the text" if "\0" in record.text else "" if record.text.strip() else "no text in it"
    try:
        msgspec.json.encode(record)
    except UnicodeEncodeError:
        flaw = "bytes or halves of characters that are no Unicode text"
    if not flaw:
        return record
    printable_id = record.id.encode(errors="replace").decode()
    return InputRecord(id=printable_id, source=record.source, reason=flaw)
