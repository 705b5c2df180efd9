"""Web archives (WARC) -> a record a page. warcio reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any, BinaryIO

from pipeline.core.errors import RecordError
from pipeline.inference.readers.kinds import of_extra
from pipeline.inference.readers.pages import decoded_page
from pipeline.inference.readers.schema import MAX_RECORD, Fields, InputRecord, Markup
from pipeline.inference.readers.sources import Source

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_PAGES = ("text/html", "application/xhtml+xml")


def warc_pages(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """The pages that servers gave, and texts that others made of them, by their addresses; the rest is counted."""
    with of_extra():
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed

    archive, number = ArchiveIterator(_Loud(stream)), 0
    try:
        with redirect_stderr(StringIO()):  # where warcio tells what is raised below
            entry = next(archive, None)
        while entry:
            number += 1
            if other := _no_page(entry):
                source.meter.notes[f"WARC records that are no page: {other}"] += 1
            else:
                yield _record(entry, source, encoding, f"{source.stem}-{number}")
            _check_length(entry)
            with redirect_stderr(StringIO()):
                entry = next(archive, None)
    except (ArchiveLoadFailed, RecordError) as error:
        raise RecordError(f"after record {number}: {error}") from error
    if archive.err_count:
        raise RecordError(f"{archive.err_count} records of another length than they say; something may be missing")


class _Loud:
    """A stream that ends too early in another way than by what warcio takes for the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except EOFError as error:
            raise RecordError(str(error)) from error


def _no_page(entry: Any) -> str:
    """What a record is, if it is no page: its type, the answer's status, or its content."""
    kind, status = entry.rec_type, entry.http_headers.get_statuscode() if entry.http_headers else "200"
    if kind not in ("response", "resource", "conversion"):
        return kind or "nothing"
    content = _content_type(entry).partition(";")[0].strip().lower()
    if status != "200":
        return f"status {status}"
    return "" if content in _PAGES or (kind == "conversion" and content == "text/plain") else content or "no type"


def _content_type(entry: Any) -> str:
    headers = entry.http_headers or entry.rec_headers
    return headers.get_header("Content-Type") or ""


def _record(entry: Any, source: Source, encoding: str | None, fallback: str) -> InputRecord:
    id_ = entry.rec_headers.get_header("WARC-Target-URI") or fallback
    data = entry.content_stream().read(MAX_RECORD + 1)
    try:
        if len(data) > MAX_RECORD:
            raise RecordError(f"a page of more than {MAX_RECORD >> 20} MiB")
        charset = _CHARSET.search(_content_type(entry))
        text = decoded_page(data, encoding, charset[1] if charset else "")
    except RecordError as flaw:
        return InputRecord(id=id_, source=source.name, reason=str(flaw))
    carried = {"date": entry.rec_headers.get_header("WARC-Date")}
    markup: Markup = "" if entry.rec_type == "conversion" and "plain" in _content_type(entry) else "page"
    return InputRecord(id=id_, source=source.name, text=text, carried=carried, markup=markup)


def _check_length(entry: Any) -> None:
    """Reads what is left of a record; one that is shorter than it says ends the archive."""
    while entry.raw_stream.read(2**16):
        pass
    if entry.rec_headers.get_header("Content-Length") is None or entry.raw_stream.limit:
        raise RecordError("it is cut")
