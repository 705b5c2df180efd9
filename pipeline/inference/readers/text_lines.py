"""Lines of a stream or of a part of it, none of them longer than a record may be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, AnyStr, BinaryIO, cast

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import MAX_RECORD
from pipeline.inference.readers.sources import BUFFER, Range


def lines_of(stream: Any, *ends: AnyStr) -> Iterator[AnyStr]:
    """The lines of a stream; an over-long one raises `RecordError` without being held, and the next call goes on."""

    def read_line() -> AnyStr:
        line: AnyStr = stream.readline(MAX_RECORD + 1)
        if len(line) > MAX_RECORD and not line.endswith(ends):
            while line and not line.endswith(ends):
                line = stream.readline(MAX_RECORD)
            raise RecordError(f"a line of more than {MAX_RECORD >> 20} MiB")
        return line

    return iter(read_line, ends[0][:0])  # unlike a generator, it goes on after an exception


def part_of(stream: BinaryIO, part: Range) -> BinaryIO:
    """That part of a stream as one of its own."""
    stream.seek(part.begin)
    return cast(BinaryIO, io.BufferedReader(_Window(stream, part.end - part.begin), BUFFER))


class _Window(io.RawIOBase):
    """The next so many bytes of a stream."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
