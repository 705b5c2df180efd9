"""Sources -> splits: what one reader reads, so that many may read at once.

A large file of JSON lines or Parquet is cut where a record ends, into parts that know the numbers of their lines; small
files go together. What can't be cut, such as CSV (a cell may hold line breaks) or a packed file, is a split of its own.
The same inputs have the same splits whoever reads them.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.formats import READERS, settled
from pipeline.inference.readers.fragments import first_records, hold_html
from pipeline.inference.readers.json_rows import is_lines
from pipeline.inference.readers.schema import Fields, InputRecord
from pipeline.inference.readers.sources import DAMAGED, STDIN, Range, ReadMeter, Source
from pipeline.inference.readers.text_lines import part_of
from pipeline.inference.readers.values import CHUNK
from pipeline.text.encodings import SNIFF_BYTES, encoding_by_letters

SPLIT_BYTES = 2**26
"""Of a split, about: a reader needs a second for it, a core that classifies by TF-IDF half a minute."""

Share = Sequence[Source | InputRecord]
"""What one reader reads, in order."""
Map = Callable[[Callable[[Source], int], Sequence[Source]], Iterable[int]]
"""The built-in `map`, or one by many processes."""


def plan_splits(
    sources: Iterable[Source | InputRecord],
    format_: str | None,
    fields: Fields,
    encoding: str | None,
    map_: Map = map,
) -> Iterator[Share]:
    """The sources in order, as splits; lines before a part are counted by `map_`."""
    split: list[Source | InputRecord] = []
    size = 0
    for source in sources:
        parts = _parts(source, format_, fields, encoding, map_) if isinstance(source, Source) else [source]
        for part in parts:
            weight = part.size if isinstance(part, Source) else 0
            if split and size + weight > SPLIT_BYTES:
                yield split
                split, size = [], 0
            split.append(part)
            size += weight
    if split:
        yield split


def _parts(source: Source, format_: str | None, fields: Fields, encoding: str | None, map_: Map) -> Sequence[Source]:
    """The parts of a large file that can be cut; else itself, also where it can't be read: its reader says why."""
    if source.size <= SPLIT_BYTES or source.packed or source.member or source.path == STDIN:
        return [source]
    looked_at = replace(source, meter=ReadMeter())  # what is read twice is not counted
    try:
        with looked_at.open() as stream:
            looked_at, columns = settled(stream, looked_at, format_, fields)
            if looked_at.format == "parquet":
                parts = _row_groups(looked_at, stream)
            elif looked_at.format in ("jsonl", "json") and _is_utf8_lines(stream, looked_at.format, encoding):
                parts = _lines(looked_at, stream, map_)
            else:
                return [source]
        with looked_at.open() as stream:
            first, _ = first_records(READERS[looked_at.format](stream, looked_at, columns, encoding))
    except (*DAMAGED, RecordError, UserError):
        return [source]
    is_html = hold_html(first)
    return [
        replace(part, meter=source.meter, range=part.range and part.range._replace(is_html=is_html)) for part in parts
    ]


def _is_utf8_lines(stream: Any, format_: str, encoding: str | None) -> bool:
    head = stream.read(SNIFF_BYTES)
    is_utf8 = codecs.lookup(encoding or encoding_by_letters(head)).name in ("utf-8", "utf-8-sig")
    return is_utf8 and is_lines(head.removeprefix(codecs.BOM_UTF8)[:CHUNK], format_)


def _lines(source: Source, stream: Any, map_: Map) -> Sequence[Source]:
    """The parts of a file of lines."""
    uncounted = [_part(source, begin, end, end - begin) for begin, end in pairwise(_line_ends(stream, source.size))]
    numbers = accumulate(map_(count_lines, uncounted[:-1]), initial=1)
    return [
        _part(source, *part.range[:2], part.size, number)
        for part, number in zip(uncounted, numbers, strict=True)
        if part.range
    ]


def _part(source: Source, begin: int, end: int, size: int, first: int = 1) -> Source:
    return replace(source, size=size, range=Range(begin, end, first, is_html=False))


def _numbered(part: Source, first: int) -> Source:
    return replace(part, range=part.range and part.range._replace(first=first))


def _line_ends(stream: Any, size: int) -> Iterator[int]:
    """Where parts begin and end: behind the byte order mark, behind the line that a multiple of the size is in."""
    stream.seek(0)
    place = len(codecs.BOM_UTF8) if stream.read(3) == codecs.BOM_UTF8 else 0
    while size - place > SPLIT_BYTES:
        yield place
        stream.seek(place + SPLIT_BYTES)
        while (piece := stream.readline(CHUNK)) and not piece.endswith(b"\n"):
            pass
        place = stream.tell()
    if place < size:
        yield place
    yield size


def count_lines(part: Source) -> int:
    """The line feeds in a part."""
    if not part.range:
        raise ValueError(f"{part}: no part")
    with part.open() as stream:
        window = part_of(stream, part.range)
        return sum(piece.count(b"\n") for piece in iter(lambda: window.read(2**20), b""))


def _row_groups(source: Source, stream: Any) -> Sequence[Source]:
    """The parts of a Parquet file: row groups of about `SPLIT_BYTES` together."""
    from pyarrow import ArrowException, parquet

    try:
        facts = parquet.ParquetFile(stream).metadata
    except ArrowException as error:
        raise RecordError(str(error)) from error
    parts: list[Source] = []
    begin, first, rows, size = 0, 1, 0, 0
    for at in range(facts.num_row_groups):
        group = facts.row_group(at)
        rows += group.num_rows
        size += sum(group.column(column).total_compressed_size for column in range(group.num_columns))
        if size >= SPLIT_BYTES or at + 1 == facts.num_row_groups:
            parts.append(_part(source, begin, at + 1, size, first))
            begin, first, rows, size = at + 1, first + rows, 0, 0
    return parts
