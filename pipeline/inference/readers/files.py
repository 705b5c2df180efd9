"""Paths -> sources: files, folders, patterns, zip archives and stdin, opened and unpacked.

What was named has to exist; what is found on the way and can't be opened becomes a record with its reason.
"""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

from pipeline.core.errors import UserError
from pipeline.core.storage import is_remote, remote_files
from pipeline.inference.readers.kinds import INPUT_ENDINGS
from pipeline.inference.readers.schema import InputRecord
from pipeline.inference.readers.sources import DAMAGED, STDIN, ReadMeter, Source

UTF8_NAME = 0x800
"""A bit of a zip member's flags."""
PACKED = (".gz", ".zst", ".zip")

OFFICE = "[Content_Types].xml"
"""A member of every Word and Excel file, which are zip archives."""


def find_sources(inputs: Sequence[Path], format_: str | None, meter: ReadMeter) -> Iterator[Source | InputRecord]:
    """Everything to read in order, folders sorted by name; a record with a reason for each that can't be.

    Raises:
        UserError: if a path doesn't exist, a pattern fits nothing, or the format of stdin isn't given.
    """
    files = [file for given in inputs for file in (_remote(given) if is_remote(given) else _local(given))]
    meter.total = sum(size for _, _, size, _ in files)
    for path, name, size, reason in files:
        if path == STDIN:
            if format_ is None:
                raise UserError("-: say what comes in, for instance --format jsonl")
            yield Source("-", "stdin", format_, path, meter)
        elif reason:
            yield InputRecord(id=path.name, source=name, reason=reason)
        elif path.suffix.lower() == ".zip":
            yield from _zip_members(path, name, meter, size)
        else:
            yield _source(name, path, meter, size)


def _remote(path: Path) -> list[tuple[Path, str, int, str]]:
    return [(*file, "") for file in remote_files(path)]


def _local(path: Path) -> list[tuple[Path, str, int, str]]:
    """Files with their names, sizes in bytes, and why they can't be read."""
    return [(file, name, *_size_or_reason(file)) for file, name in _files_of(path)]


def _files_of(path: Path) -> list[tuple[Path, str]]:
    """The files that an argument stands for, with the names they go by."""
    if path == STDIN:
        return [(path, "-")]
    if not path.is_symlink() and not path.exists() and has_magic(str(path)):
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207  (pathlib has none for absolute patterns)
        if not matches:
            raise UserError(f"{path}: no file fits this pattern")
        return [file for match in matches for file in _files_of(Path(match))]
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder") from None
    except OSError:  # a loop of links, say: opening it gives the reason
        return [(path, path.name)]
    if stat.S_ISDIR(mode):
        inside = [(file, file.relative_to(path).as_posix()) for file in _walk(path, set())]
        if not inside:
            raise UserError(f"{path}: no file in it")
        return inside
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a pipe or device; feed it to `taqyryp classify - --format …`")
    return [(path, path.name)]


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files below a folder but hidden ones; links are followed. A folder read already, or locked, stands for itself."""
    status = folder.stat()
    try:
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except PermissionError:
        children = None
    if children is None or (status.st_dev, status.st_ino) in seen:
        yield folder
        return
    seen.add((status.st_dev, status.st_ino))
    for child in children:
        if os.path.isdir(child):  # noqa: PTH112  (pathlib's raises in a folder that may be listed but not entered)
            yield from _walk(child, seen)
        else:
            yield child


def _size_or_reason(path: Path) -> tuple[int, str]:
    """Bytes of a file on disk, and why it is not to be opened, "" if it is."""
    try:
        status = path.stat()
    except OSError as error:
        return 0, f"cannot be read ({error.strerror})"
    if stat.S_ISDIR(status.st_mode):
        readable = os.access(path, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
        return 0, "a link to a folder that is read already" if readable else "cannot be read (Permission denied)"
    return status.st_size, "" if stat.S_ISREG(status.st_mode) else "a pipe or device, no file"


def _source(name: str, path: Path, meter: ReadMeter, size: int, member: str = "") -> Source | InputRecord:
    """How to read a file, by its endings."""
    bare, packed = PurePosixPath(name), ""
    if bare.suffix.lower() in PACKED:
        bare, packed = bare.with_suffix(""), bare.suffix.lower()
    ending = bare.suffix.lower()
    if packed == ".zip":
        return InputRecord(
            id=bare.name, source=name, reason="a zip in a zip, which is no known ending there; unpack it"
        )
    stem = bare.stem if ending in INPUT_ENDINGS else bare.name
    # A Mac may take letters such as й apart in names, and ids have to be the same everywhere.
    format_ = INPUT_ENDINGS.get(ending, "")
    return Source(name, unicodedata.normalize("NFC", stem), format_, path, meter, member, packed, size)


def _zip_members(path: Path, name: str, meter: ReadMeter, size: int) -> Iterator[Source | InputRecord]:
    """The files of a zip archive by name."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = [
                (_member_name(info), info.filename, info.compress_size)
                for info in archive.infolist()
                if not info.is_dir()
            ]
    except DAMAGED as error:
        yield InputRecord(id=path.name, source=name, reason=f"no zip archive that can be read ({error})")
        return
    if OFFICE in (member for _, member, _ in members):
        yield Source(name, path.stem, "", path, meter, size=size)
        return
    members = sorted(entry for entry in members if not PurePosixPath(entry[0]).name.startswith("."))  # as in a folder
    if not members:
        yield InputRecord(id=path.name, source=name, reason="empty")
    for shown, member, packed_size in members:
        yield _source(f"{name}/{shown}", path, meter, packed_size, member)


def _member_name(info: zipfile.ZipInfo) -> str:
    """A member's name. Without the mark of UTF-8 it may be that all the same, or cp866, as Windows has it here."""
    if info.flag_bits & UTF8_NAME:
        return info.filename
    raw = info.filename.encode("cp437", errors="replace")  # what zipfile takes it for
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp866")
