"""Sources -> records: what a file of each format holds, one record for each text.

A row that can't be read becomes a record with its reason and reading goes on after it; where nothing more can be
read, the record stands for the rest of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.feeds import feed_rows
from pipeline.inference.readers.fragments import with_markup
from pipeline.inference.readers.json_rows import json_rows
from pipeline.inference.readers.kinds import HEAD_BYTES, settled_format
from pipeline.inference.readers.pages import decoded_page, markdown_to_html
from pipeline.inference.readers.schema import MAX_RECORD, Fields, InputRecord, Row, to_input_record, validated
from pipeline.inference.readers.sources import DAMAGED, Source
from pipeline.inference.readers.tables import parquet_rows, table_rows
from pipeline.inference.readers.warc import warc_pages
from pipeline.inference.readers.workbooks import workbook_rows
from pipeline.text.encodings import decode, without_place

FEED_FIELDS = Fields(title="title", markup="html")
"""What an item of a feed has, if nothing else is said."""


def read_records(
    sources: Iterable[Source | InputRecord], format_: str | None, fields: Fields, encoding: str | None
) -> Iterator[InputRecord]:
    """Every text of the sources in order, and a record with a reason for all that can't be read.

    Raises:
        UserError: if an input doesn't exist, a table lacks a column that was named, or a library is missing.
    """
    for source in sources:
        if isinstance(source, InputRecord):
            yield source
            continue
        empty = True
        try:
            with source.open() as stream:
                try:
                    source, columns = settled(stream, source, format_, fields)
                except RecordError as refusal:
                    yield _failed(source, str(refusal))
                    continue
                records = READERS[source.format](stream, source, columns, encoding)
                told = source.range.is_html if source.range else None
                for record in with_markup(records, columns.markup, source.meter.notes, told):
                    empty = False
                    yield validated(record)
        except (*DAMAGED, RecordError) as error:
            cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
            yield _failed(source, f"cannot be read{'' if empty else ' any further'} ({cause})")
        else:
            if empty and not source.range:  # a part may be blank lines
                yield _failed(source, "empty")


def settled(stream: Any, source: Source, format_: str | None, fields: Fields) -> tuple[Source, Fields]:
    """The source with the format to read it in, by its first bytes, and where its records have what.

    Raises:
        RecordError: if nothing reads it, or it contradicts the format that was given.
    """
    kind = (
        source.format if source.range else settled_format(stream.peek(HEAD_BYTES)[:HEAD_BYTES], source.format, format_)
    )
    usual = FEED_FIELDS if kind == "feed" else fields
    columns = replace(fields, title=fields.title or usual.title, markup=fields.markup or usual.markup)
    return replace(source, format=kind), columns


def _failed(source: Source, reason: str, id_: str = "") -> InputRecord:
    """What stands for a source, or for the record of that id, if it can't be read."""
    return InputRecord(id=id_ or source.stem, source=source.name, reason=reason)


def _whole(stream: BinaryIO) -> bytes:
    data = stream.read(MAX_RECORD + 1)
    if len(data) > MAX_RECORD:
        raise RecordError(f"more than {MAX_RECORD >> 20} MiB; split it")
    return data


def _text(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A text, which is one record."""
    yield InputRecord(id=source.stem, source=source.name, text=_decoded(_whole(stream), encoding))


def _markdown(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A text in Markdown, which is one record."""
    title, html, carried = markdown_to_html(_decoded(_whole(stream), encoding))
    yield InputRecord(id=source.stem, source=source.name, text=html, title=title, carried=carried, markup="fragment")


def _page(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A page, which is one record."""
    yield InputRecord(
        id=source.stem, source=source.name, text=decoded_page(_whole(stream), encoding, ""), markup="page"
    )


def _decoded(data: bytes, encoding: str | None) -> str:
    try:
        return data.decode(encoding) if encoding else decode(data, "")
    except (UserError, UnicodeDecodeError) as error:
        raise without_place(error) from error


Reader = Callable[[BinaryIO, Source, Fields, str | None], Iterator[InputRecord]]
RowReader = Callable[[BinaryIO, Source, Fields, str | None], Iterator[Row]]


def _records(read_rows: RowReader) -> Reader:
    """A reader of records from one of rows; a row that is none costs no other."""

    def read(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
        for number, place, values in read_rows(stream, source, fields, encoding):
            id_ = f"{source.stem}-{number}" if number else source.stem
            try:
                if isinstance(values, RecordError):
                    raise values
                yield to_input_record(values, source.name, id_, fields)
            except RecordError as flaw:
                yield _failed(source, f"{place}: {flaw}" if place else str(flaw), id_)

    return read


READERS: dict[str, Reader] = {
    "txt": _text,
    "html": _page,
    "md": _markdown,
    "warc": warc_pages,
    "jsonl": _records(json_rows),
    "json": _records(json_rows),
    "csv": _records(table_rows),
    "tsv": _records(table_rows),
    "parquet": _records(parquet_rows),
    "xlsx": _records(workbook_rows),
    "feed": _records(feed_rows),
}
