"""Paths -> places: files, folders, globs, zip archives and stdin, opened and unpacked.

Explicit paths have to exist; what is found on the way and can't be opened becomes an entry with its reason.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from pipeline.core.errors import UserError
from pipeline.inference.readers.schema import CSV, HTML, JSONL, PARQUET, TEXT, TSV, InputRecord

STDIN = Path("-")
INPUT_ENDINGS = {
    ".txt": TEXT,
    ".html": HTML,
    ".htm": HTML,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".csv": CSV,
    ".tsv": TSV,
    ".parquet": PARQUET,
}
PACKED = (".gz", ".zst", ".zip")
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What reading a damaged or locked file raises; NotImplementedError is zip's for a method it lacks."""

BUFFER = 2**18
ENCRYPTED = 1
"""Bit of a zip member's flags."""
Open = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass
class ReadMeter:
    """Bytes read so far of the files on disk, of `total`."""

    total: int = 0
    read: int = 0


@dataclass(frozen=True)
class Source:
    """Something to read: `name` for rows and messages, `stem` for ids."""

    name: str
    stem: str
    format: str
    open: Open = field(repr=False)


def find_sources(inputs: Sequence[Path], format_: str | None, meter: ReadMeter) -> Iterator[Source | InputRecord]:
    """Everything to read in order, folders sorted by name; an entry for each file that is none of ours.

    Raises:
        UserError: if a path doesn't exist, a pattern fits nothing, or the format of stdin isn't given.
    """
    found = [place for path in inputs for place in _explicit(path)]
    meter.total = sum(_size(path) for path, _ in found)
    for path, name in found:
        yield from _place(path, name, format_, meter)


def _explicit(path: Path) -> list[tuple[Path, str]]:
    """The files that an argument stands for, with the names they go by."""
    if path == STDIN:
        return [(path, "-")]
    if not path.is_symlink() and not path.exists() and has_magic(str(path)):
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207  (pathlib has none for absolute patterns)
        if not matches:
            raise UserError(f"{path}: no file fits this pattern")
        return [place for match in matches for place in _explicit(Path(match))]
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder") from None
    except OSError:  # a loop of links, say: its reason is told when it is opened
        return [(path, path.name)]
    if stat.S_ISDIR(mode):
        inside = list(_walk(path, path, set()))
        if not inside:
            raise UserError(f"{path}: no file in it")
        return inside
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a pipe or device; feed it to `taqyryp classify - --format …`")
    return [(path, path.name)]


def _walk(folder: Path, top: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, str]]:
    """Files below a folder but hidden ones; links are followed, and one to a folder already read stands for itself."""
    facts = folder.stat()
    if (facts.st_dev, facts.st_ino) in seen:
        yield folder, folder.relative_to(top).as_posix()
        return
    seen.add((facts.st_dev, facts.st_ino))
    try:
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except PermissionError:
        yield folder, folder.relative_to(top).as_posix()
        return
    for child in children:
        if _is_folder(child):
            yield from _walk(child, top, seen)
        else:
            yield child, child.relative_to(top).as_posix()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # in a folder that may be listed but not entered
        return False


def _size(path: Path) -> int:
    try:
        return 0 if path == STDIN or path.is_dir() else path.stat().st_size
    except OSError:
        return 0


def _place(path: Path, name: str, format_: str | None, meter: ReadMeter) -> Iterator[Source | InputRecord]:
    if path == STDIN:
        if format_ is None:
            raise UserError("-: say what comes in, for instance --format jsonl")
        yield Source("-", "stdin", format_, lambda: nullcontext(cast(BinaryIO, sys.stdin.buffer)))
        return
    if reason := _unusable(path):
        yield InputRecord(id=path.name, source=name, reason=reason)
        return

    def open_() -> BinaryIO:
        return io.BufferedReader(_Metered(path, meter), BUFFER)

    if path.suffix.lower() == ".zip":
        yield from _members(path, name, format_, open_)
    else:
        yield _typed(path.name, name, format_, open_)


def _unusable(path: Path) -> str:
    """Why something found on the way is not to be opened; "" if it is."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.S_ISDIR(mode):
        readable = os.access(path, os.R_OK | os.X_OK, effective_ids=True)
        return "a link to a folder that is read already" if readable else "cannot be read (Permission denied)"
    return "" if stat.S_ISREG(mode) else "a pipe or device, no file"


def _typed(file: str, name: str, format_: str | None, open_: Open) -> Source | InputRecord:
    """The place of a file by its endings, unpacked."""
    bare, packed = PurePosixPath(file), ""
    if bare.suffix.lower() in PACKED:
        bare, packed = bare.with_suffix(""), bare.suffix.lower()
    found = format_ or INPUT_ENDINGS.get(bare.suffix.lower())
    if found is None:
        return InputRecord(
            id=bare.name, source=name, reason=f"no known ending ({', '.join(INPUT_ENDINGS)}); --format says what it is"
        )
    if packed == ".zip":
        return InputRecord(id=bare.name, source=name, reason="a zip in a zip; unpack it")
    stem = bare.stem if bare.suffix.lower() in INPUT_ENDINGS else bare.name
    return Source(name, stem, found, {"": open_, ".gz": lambda: _gunzip(open_), ".zst": lambda: _unzstd(open_)}[packed])


@contextmanager
def _gunzip(open_: Open) -> Iterator[BinaryIO]:
    with open_() as stream, gzip.GzipFile(fileobj=stream) as unpacked:
        yield cast(BinaryIO, unpacked)


@contextmanager
def _unzstd(open_: Open) -> Iterator[BinaryIO]:
    import pyarrow

    with open_() as stream:
        yield io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, mode="r"), "zstd"), BUFFER)


def _members(path: Path, name: str, format_: str | None, open_: Open) -> Iterator[Source | InputRecord]:
    """The files of a zip archive by name."""
    try:
        with open_() as stream, zipfile.ZipFile(stream) as archive:
            members = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except DAMAGED as error:
        yield InputRecord(id=path.name, source=name, reason=f"no zip archive that can be read ({error})")
        return
    if not members:
        yield InputRecord(id=path.name, source=name, reason="empty")
    for member in members:
        yield _typed(PurePosixPath(member).name, f"{name}/{member}", format_, _opener(open_, member))


def _opener(open_: Open, member: str) -> Open:
    @contextmanager
    def inside() -> Iterator[BinaryIO]:
        with open_() as stream, zipfile.ZipFile(stream) as archive:
            if archive.getinfo(member).flag_bits & ENCRYPTED:
                raise OSError(errno.EACCES, "encrypted")
            with archive.open(member) as opened:
                yield cast(BinaryIO, opened)

    return inside


class _Metered(io.FileIO):
    """A file on disk whose reading moves a meter."""

    def __init__(self, path: Path, meter: ReadMeter) -> None:
        super().__init__(path)
        self._meter = meter

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._meter.read += count or 0
        return count
