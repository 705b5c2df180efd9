"""Lines of a stream, none of them longer than a record may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, AnyStr

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import MAX_RECORD


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
