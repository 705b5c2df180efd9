"""CSV, TSV and Parquet -> rows."""

from __future__ import annotations

import csv
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO, cast

import msgspec

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.schema import MAX_RECORD, Fields, Row
from pipeline.inference.readers.sources import Metered, Source
from pipeline.inference.readers.text_lines import lines_of
from pipeline.text.encodings import SNIFF_BYTES, utf8_stream

DELIMITERS = ",;\t|"
PARQUET_ROWS = 256
"""Rows of a Parquet file that are held at once."""

_UNNAMED = re.compile(r"(?:column \d+)?")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
# A quote behind a backslash and before a letter: where quotes are doubled instead, that is an error.
_ESCAPED_QUOTE = re.compile(rb'\\"[^",;|\t\r\n]')
_ESCAPE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')


def table_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """CSV or TSV with a header; the delimiter is the given one, that of a line `sep=;`, or the header's own."""
    utf8 = utf8_stream(stream, encoding)
    escapes = _ESCAPED_QUOTE.search(cast(io.BufferedReader, utf8).peek(SNIFF_BYTES)) is not None
    # Bytes that are no text pass as surrogates: then one row is refused in `validated`, not the whole file.
    lines = io.TextIOWrapper(utf8, "utf-8", errors="surrogateescape", newline="")
    first, above = lines.readline(SNIFF_BYTES), 0
    delimiter = fields.delimiter or ("\t" if source.format == "tsv" else None)
    if said := _SEPARATOR.fullmatch(first):
        delimiter, first, above = delimiter or said[1], lines.readline(SNIFF_BYTES), 1
    if not first.strip():
        return
    while first.count('"') % 2 and len(first) < SNIFF_BYTES and (more := lines.readline(SNIFF_BYTES)):
        first += more  # a name on two lines, as in Excel
    delimiter = delimiter or max(DELIMITERS, key=_QUOTED.sub("", first).count)
    csv.field_size_limit(MAX_RECORD)
    try:
        header = named_columns(next(csv.reader([first], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        raise RecordError(f"line {above + 1}: {error}; mend the header") from error
    check_columns(header, source.name, fields)
    above += len(first.splitlines())
    text = lines_of(lines, "\n", "\r")
    # `map` goes on after an over-long line, as a generator would not.
    yield from _body(map(_doubled, text) if escapes else text, delimiter, header, above)


def _body(lines: Iterator[str], delimiter: str, header: Sequence[str], above: int) -> Iterator[Row]:
    """The rows below a header and what is `above` them: so many lines."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for number in count(1):
        begin = above + 1 + reader.line_num
        try:
            cells = next(reader)
            while len(cells) > len(header) and not cells[-1]:
                cells.pop()
            if cells and len(cells) != len(header):
                raise RecordError(f"{len(cells)} cells, but {len(header)} columns")
            if cells:
                yield Row(number, f"line {begin}", named_cells(header, cells))
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, f"lines {begin} to {above + reader.line_num}", RecordError(f"{error}; mend the quoting"))
        except RecordError as flaw:
            yield Row(number, f"line {begin}", flaw)


def _doubled(line: str) -> str:
    """The line with quotes behind a backslash doubled instead, as the csv module knows them."""
    return _ESCAPE.sub(r'\1""', line)


def named_columns(header: Sequence[str]) -> list[str]:
    """The names of the columns; one without a name is "" if it is the only one, else called by its place."""
    names = [" ".join(name.split()) for name in header]
    several = names.count("") > 1
    return [name or (f"column {place}" if several else "") for place, name in enumerate(names, 1)]


def named_cells(header: Sequence[str], cells: Sequence[Any]) -> dict[str, Any]:
    """The cells of a row by their columns, without empty ones in columns without a name, as Excel writes."""
    return {
        name: cell
        for name, cell in zip(header, cells, strict=True)
        if not (cell is None or cell == "") or not _UNNAMED.fullmatch(name)
    }


def check_columns(header: Sequence[str], name: str, fields: Fields) -> None:
    """Refuses a table without a column that was named, or with two of one name."""
    for option, column in (("text", fields.text), ("id", fields.id), ("title", fields.title)):
        if column is not None and column not in header and column.partition(".")[0] not in header:
            raise UserError(f"{name}: no column {column!r}; there are {', '.join(header)}; --{option}-field names it")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise UserError(f"{name}: column {', '.join(twice)} stands twice; rename one")


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream, or a copy on disk if it is packed or from stdin: reading begins at the end, and jumps."""
    with tempfile.TemporaryFile() as copy:
        if not (isinstance(getattr(stream, "raw", None), Metered) and stream.seekable()):
            shutil.copyfileobj(stream, copy)
            copy.seek(0)
            stream = cast(BinaryIO, copy)
        yield stream


def parquet_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """The rows of a Parquet file, with values as JSON has them: NaN is null; dates, decimals, nanoseconds are text."""
    import pyarrow
    from pyarrow import parquet

    number = source.range.first - 1 if source.range else 0
    with seekable(stream) as file:
        try:
            table = parquet.ParquetFile(file)
            check_columns(table.schema_arrow.names, source.name, fields)
            groups = range(*source.range[:2]) if source.range else range(table.num_row_groups)
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, row_groups=groups):
                for row in batch.to_pylist():
                    number += 1
                    yield Row(number, f"row {number}", plain(row))
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise RecordError(f"after row {number}: {error}") from error


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with values as JSON has them; bytes stay, for they are no text."""
    data = msgspec.json.encode(
        {name: value for name, value in row.items() if not isinstance(value, bytes)}, enc_hook=str
    )
    values: dict[str, Any] = msgspec.json.decode(data)
    return {name: values.get(name, value) for name, value in row.items()}
