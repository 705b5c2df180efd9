"""Sources -> records: what a file of each format holds, one record for each text.

A row that can't be read becomes a record with its reason and reading goes on after it; where nothing more can be
read, the record stands for the rest of the file.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, AnyStr, BinaryIO

import msgspec

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.files import DAMAGED, ReadMeter, Source, find_sources
from pipeline.inference.readers.pages import declared_encoding
from pipeline.inference.readers.schema import MAX_RECORD, Fields, InputRecord, to_input_record, validated
from pipeline.text.encodings import SNIFF_BYTES, decode, encoding_by_letters, utf8_stream, without_place

_OBJECTS = msgspec.json.Decoder(dict[str, Any])
PARQUET_ROWS = 256
"""Rows of a Parquet file that are held at once."""


def read_records(
    inputs: Sequence[Path], format_: str | None, fields: Fields, encoding: str | None, meter: ReadMeter
) -> Iterator[InputRecord]:
    """Every text of the inputs in order, and a record with a reason for all that can't be read.

    Raises:
        UserError: if an input doesn't exist, or a table lacks a column that was named.
    """
    for source in find_sources(inputs, format_, meter):
        if isinstance(source, InputRecord):
            yield source
            continue
        empty = True
        try:
            with source.open() as stream:
                for record in READERS[source.format](stream, source, fields, encoding):
                    empty = False
                    yield validated(record)
        except (*DAMAGED, RecordError) as error:
            cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
            yield _failed(source, f"cannot be read{'' if empty else ' any further'} ({cause})")
        else:
            if empty:
                yield _failed(source, "empty")


def _failed(source: Source, reason: str, id_: str = "") -> InputRecord:
    """What stands for a source, or for the record of that id, if it can't be read."""
    return InputRecord(id=id_ or source.stem, source=source.name, reason=reason)


def _whole(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A text or a page, which is one record."""
    data = stream.read(MAX_RECORD + 1)
    if len(data) > MAX_RECORD:
        raise RecordError(f"more than {MAX_RECORD >> 20} MiB; split it")
    markup = source.format == "html"
    if markup and not encoding:
        try:
            encoding = encoding_by_letters(data)
        except RecordError:  # too short to be sure: then what the page says of itself
            if not (encoding := declared_encoding(data)):
                raise
    try:
        text = data.decode(encoding) if encoding else decode(data, "")
    except (UserError, UnicodeDecodeError, LookupError) as error:
        raise without_place(error) from error
    yield InputRecord(id=source.stem, source=source.name, text=text, markup=markup)


def _jsonl(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """A JSON object a line; lines end at line feeds alone."""
    lines = _lines(utf8_stream(stream, encoding), b"\n")
    for number in count(1):
        id_ = f"{source.stem}-{number}"
        try:
            line = next(lines)
            if line.strip():
                yield to_input_record(_object(line), source.name, id_, fields)
        except StopIteration:
            return
        except RecordError as flaw:
            yield _failed(source, f"line {number}: {flaw}", id_)


def _object(line: bytes) -> dict[str, Any]:
    try:
        return _OBJECTS.decode(line)
    except msgspec.ValidationError as error:
        raise RecordError("a JSON value, but no object") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"no JSON ({error})") from error


def _lines(stream: Any, end: AnyStr) -> Iterator[AnyStr]:
    """The lines of a stream; an over-long one raises `RecordError` without being held, and the next call goes on."""

    def read_line() -> AnyStr:
        line: AnyStr = stream.readline(MAX_RECORD + 1)
        if len(line) > MAX_RECORD and not line.endswith(end):
            while line and not line.endswith(end):
                line = stream.readline(MAX_RECORD)
            raise RecordError(f"a line of more than {MAX_RECORD >> 20} MiB")
        return line

    return iter(read_line, end[:0])  # unlike a generator, it goes on after an exception


def _table(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    """CSV or TSV with a header; of comma, semicolon and tab a CSV's delimiter is the one its header has most of."""
    # Bytes that are no text pass as surrogates: then one row is refused in `validated`, not the whole file.
    lines = io.TextIOWrapper(utf8_stream(stream, encoding), "utf-8", errors="surrogateescape", newline="")
    first = lines.readline(SNIFF_BYTES)
    if not first.strip():
        return
    delimiter = "\t" if source.format == "tsv" else max(",;\t", key=first.count)
    csv.field_size_limit(MAX_RECORD)
    try:
        header = next(csv.reader([first], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise RecordError(f"line 1: {error}; mend the header") from error
    _check_columns(header, source.name, fields)
    reader = csv.reader(_lines(lines, "\n"), delimiter=delimiter, strict=True)
    for number in count(1):
        id_, begin = f"{source.stem}-{number}", 2 + reader.line_num
        try:
            row = next(reader)
            if row and len(row) != len(header):
                raise RecordError(f"{len(row)} cells, but {len(header)} columns")
            if row:
                yield to_input_record(dict(zip(header, row, strict=True)), source.name, id_, fields)
        except StopIteration:
            return
        except csv.Error as error:
            yield _failed(source, f"lines {begin} to {1 + reader.line_num}: {error}; mend the quoting", id_)
        except RecordError as flaw:
            yield _failed(source, f"line {begin}: {flaw}", id_)


def _check_columns(header: Sequence[str], name: str, fields: Fields) -> None:
    for option, column in (("text", fields.text), ("id", fields.id), ("title", fields.title)):
        if column is not None and column not in header:
            raise UserError(f"{name}: no column {column!r}; there are {', '.join(header)}; --{option}-field names it")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise UserError(f"{name}: column {', '.join(twice)} stands twice; rename one")


def _parquet(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[InputRecord]:
    import pyarrow
    from pyarrow import parquet

    with tempfile.TemporaryFile() as copy:
        if not (isinstance(getattr(stream, "raw", None), io.FileIO) and stream.seekable()):
            shutil.copyfileobj(stream, copy)  # packed or from stdin: reading begins at the end, and jumps
            stream = copy
        number = 0
        try:
            table = parquet.ParquetFile(stream)
            _check_columns(table.schema_arrow.names, source.name, fields)
            for batch in table.iter_batches(batch_size=PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    id_ = f"{source.stem}-{number}"
                    try:
                        record = to_input_record(row, source.name, id_, fields)
                    except RecordError as flaw:
                        record = _failed(source, f"row {number}: {flaw}", id_)
                    # As JSON has them: NaN is null; dates, decimals and (by `str`) nanoseconds are text.
                    carried = msgspec.json.decode(msgspec.json.encode(record.carried, enc_hook=str))
                    yield msgspec.structs.replace(record, carried=carried)
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise RecordError(f"after row {number}: {error}") from error


READERS = {"txt": _whole, "html": _whole, "jsonl": _jsonl, "csv": _table, "tsv": _table, "parquet": _parquet}
