"""A source: something to read, or a part of it, opened and unpacked."""

from __future__ import annotations

import errno
import gzip
import io
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from pipeline.core.storage import is_remote

STDIN = Path("-")
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What reading a damaged or locked file raises; NotImplementedError is zip's for a method it lacks."""

BUFFER = 2**18
"""Bytes read from the disk at once."""
ENCRYPTED = 1
"""A bit of a zip member's flags."""


@dataclass
class ReadMeter:
    """Bytes read so far of the files on disk, of `total`; `notes` count what was seen and is no record."""

    total: int = 0
    read: int = 0
    notes: Counter[str] = field(default_factory=Counter)


class Range(NamedTuple):
    """A part of a source, from `begin` up to `end`, in bytes of lines or row groups of Parquet.

    `first` is the number of its first line or row, `is_html` what the source's first records show of its texts.
    """

    begin: int
    end: int
    first: int
    is_html: bool


@dataclass(frozen=True)
class Source:
    """Something to read: `name` for rows and messages, `stem` for ids, `format` by its ending ("" if it has none).

    `member` is a file in the zip archive at `path`, `packed` the ending of what else has to be unpacked, `size` what it
    takes on disk in bytes. Of a source with a `range` that alone is read, and `format` is what it is.
    """

    name: str
    stem: str
    format: str
    path: Path
    meter: ReadMeter = field(repr=False)
    member: str = ""
    packed: str = ""
    size: int = 0
    range: Range | None = None

    @contextmanager
    def open(self) -> Iterator[Any]:
        """The content as bytes, unpacked: an `io.BufferedReader`.

        Raises:
            OSError: if it can't be read or is encrypted; others in `DAMAGED` if it is no such archive.
        """
        with ExitStack() as stack:
            if self.path == STDIN:
                stdin = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer), BUFFER)
                stack.callback(stdin.detach)  # or it would be closed
                yield stdin
                return
            raw = self.path.open("rb") if is_remote(self.path) else io.FileIO(self.path)
            stream: Any = stack.enter_context(io.BufferedReader(Metered(raw, self.meter), BUFFER))
            if self.member:
                archive = stack.enter_context(zipfile.ZipFile(stream))
                if archive.getinfo(self.member).flag_bits & ENCRYPTED:
                    raise OSError(errno.EACCES, "encrypted")
                stream = stack.enter_context(io.BufferedReader(cast(io.RawIOBase, archive.open(self.member)), BUFFER))
            if self.packed == ".gz":
                stream = stack.enter_context(io.BufferedReader(gzip.GzipFile(fileobj=stream), BUFFER))
            elif self.packed == ".zst":
                import pyarrow

                stream = io.BufferedReader(pyarrow.input_stream(stream, compression="zstd"), BUFFER)
            yield stream


class Metered(io.RawIOBase):
    """A file whose reading moves a meter."""

    def __init__(self, file: Any, meter: ReadMeter) -> None:
        self._file, self._meter = file, meter

    def readable(self) -> bool:
        """As the file."""
        return True

    def seekable(self) -> bool:
        """As the file."""
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        """As the file."""
        count: int = self._file.readinto(buffer) or 0
        self._meter.read += count
        return count

    def seek(self, place: int, whence: int = 0) -> int:
        """As the file."""
        found: int = self._file.seek(place, whence)
        return found

    def close(self) -> None:
        """Closes the file, too."""
        self._file.close()
        super().close()
