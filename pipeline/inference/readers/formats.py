"""Places -> entries: what a file of each format holds, one entry a text.

A record that can't be read becomes an entry with its reason and reading goes on after it; where nothing more can be
read, the entry stands for the rest of the file.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.files import DAMAGED, ReadMeter, Source, find_sources
from pipeline.inference.readers.pages import declared_encoding
from pipeline.inference.readers.records import to_input_record, validated
from pipeline.inference.readers.schema import CSV, HTML, JSONL, MAX_RECORD, PARQUET, TEXT, TSV, Fields, InputRecord
from pipeline.text.encodings import SNIFF_BYTES, decode, encoding_by_letters, utf8_stream, without_place

LONG_LINE = f"a line of more than {MAX_RECORD >> 20} MiB"


def read_records(
    inputs: Sequence[Path], format_: str | None, fields: Fields, encoding: str | None, meter: ReadMeter
) -> Iterator[InputRecord]:
    """Every text of the inputs in order, and an entry with a reason for all that can't be read.

    Raises:
        UserError: if an input doesn't exist, or a table lacks a column that was named.
    """
    for place in find_sources(inputs, format_, meter):
        if isinstance(place, InputRecord):
            yield place
            continue
        count = 0
        for entry in _inside(place, fields, encoding):
            count += 1
            yield validated(entry)
        if not count:
            yield InputRecord(id=place.stem, source=place.name, reason="empty")


def _inside(place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    read = {TEXT: _text, HTML: _page, JSONL: _lines, CSV: _table, TSV: _table, PARQUET: _parquet}[place.format]
    further = ""
    try:
        with place.open() as stream:
            for entry in read(stream, place, fields, encoding):
                yield entry
                further = " any further"
    except (*DAMAGED, RecordError) as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield InputRecord(id=place.stem, source=place.name, reason=f"cannot be read{further} ({what})")


def _whole(stream: BinaryIO) -> bytes:
    data = stream.read(MAX_RECORD + 1)
    if len(data) > MAX_RECORD:
        raise RecordError(f"more than {MAX_RECORD >> 20} MiB; split it")
    return data


def _text(stream: BinaryIO, place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    data = _whole(stream)
    try:
        text = data.decode(encoding) if encoding else decode(data, "")
    except (UserError, UnicodeDecodeError) as error:
        raise without_place(error) from error
    yield InputRecord(id=place.stem, source=place.name, text=text)


def _page(stream: BinaryIO, place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    data = _whole(stream)
    try:
        name = encoding or encoding_by_letters(data)
    except RecordError:  # too short to be sure: then what the page says of itself
        name = declared_encoding(data)
        if not name:
            raise
    try:
        markup = data.decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        raise without_place(error) from error
    yield InputRecord(id=place.stem, source=place.name, text=markup, markup=True)


def _lines(stream: BinaryIO, place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A JSON object a line; lines end at line feeds alone."""
    recoded = utf8_stream(stream, encoding)
    number = 0
    while line := recoded.readline(MAX_RECORD + 1):
        number += 1
        fallback = f"{place.stem}-{number}"
        try:
            if len(line) > MAX_RECORD and not line.endswith(b"\n"):
                _skip(recoded, b"\n")
                raise RecordError(LONG_LINE)
            if line.strip():
                yield to_input_record(_object(line), place.name, fallback, fields)
        except RecordError as flaw:
            yield InputRecord(id=fallback, source=place.name, reason=f"line {number}: {flaw}")


def _skip(stream: Any, end: bytes | str) -> None:
    """To the end of the line."""
    while (piece := stream.readline(MAX_RECORD)) and not piece.endswith(end):
        pass


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"no JSON ({error})") from error
    if not isinstance(found, dict):
        raise RecordError("a JSON value, but no object")
    return found


def _table(stream: BinaryIO, place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """CSV or TSV with a header; of comma, semicolon and tab a CSV's delimiter is the one its header has most of."""
    recoded = utf8_stream(stream, encoding)
    lines = io.TextIOWrapper(recoded, "utf-8", errors="surrogateescape", newline="")
    first = lines.readline(SNIFF_BYTES)
    if not first.strip():
        return
    delimiter = "\t" if place.format == TSV else max(",;\t", key=first.count)
    csv.field_size_limit(MAX_RECORD)
    try:
        header = next(csv.reader([first], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise RecordError(f"line 1: {error}; mend the header") from error
    _check_columns(header, place.name, fields)
    reader = csv.reader(_Lines(lines), delimiter=delimiter, strict=True)
    number = begin = 1
    while True:
        begin, number = 2 + reader.line_num, number + 1
        fallback = f"{place.stem}-{number - 1}"
        try:
            row = next(reader)
            if row and len(row) != len(header):
                raise RecordError(f"{len(row)} cells, but {len(header)} columns")
            if row:
                yield to_input_record(dict(zip(header, row, strict=True)), place.name, fallback, fields)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"lines {begin} to {1 + reader.line_num}: {error}; mend the quoting"
            yield InputRecord(id=fallback, source=place.name, reason=reason)
        except RecordError as flaw:
            yield InputRecord(id=fallback, source=place.name, reason=f"line {begin}: {flaw}")


class _Lines:
    """The lines of a table; an over-long one raises `RecordError` without being held, and the next call goes on."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_RECORD + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_RECORD and not line.endswith("\n"):
            _skip(self._text, "\n")
            raise RecordError(LONG_LINE)
        return line


def _check_columns(header: Sequence[str], place: str, fields: Fields) -> None:
    for option, name in (("text", fields.text), ("id", fields.id), ("title", fields.title)):
        if name is not None and name not in header:
            raise UserError(f"{place}: no column {name!r}; there are {', '.join(header)}; --{option}-field names it")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{place}: column {', '.join(twice)} stands twice; rename one")


def _parquet(stream: BinaryIO, place: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    import pyarrow
    from pyarrow import parquet

    with tempfile.TemporaryFile() as copy:
        if not (isinstance(getattr(stream, "raw", None), io.FileIO) and stream.seekable()):
            shutil.copyfileobj(stream, copy)  # packed or from stdin: reading begins at the end, and jumps
            stream = copy
        number = 0
        try:
            table = parquet.ParquetFile(stream)
            _check_columns(table.schema_arrow.names, place.name, fields)
            for batch in table.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    try:
                        yield to_input_record(row, place.name, f"{place.stem}-{number}", fields)
                    except RecordError as flaw:
                        yield InputRecord(
                            id=f"{place.stem}-{number}", source=place.name, reason=f"row {number}: {flaw}"
                        )
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise RecordError(f"after row {number}: {error}") from error
