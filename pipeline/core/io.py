"""Files in and out: JSON and JSONL with errors that name the line, outputs that appear whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.inputs import check_inputs, is_stage, note_input, note_own_folder

_T = TypeVar("_T")
Say = Callable[[str], None]
"""How a command tells its user a line: on stderr, as a rule."""


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        UserError: if there is no such file or it can't be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if is_stage():
        note_input(path, sha256(data))
    return data


def read_jsonl(path: Path, type_: type[_T]) -> list[_T]:
    """Every line of a JSONL file as `type_`. Lines end at newlines alone: U+2028 and U+0085 may stand in strings.

    Raises:
        UserError: naming file and line, if a line is not JSON or does not fit `type_`.
    """
    return [row for _, row in read_numbered_jsonl(path, type_)]


def read_numbered_jsonl(path: Path, type_: type[_T]) -> list[tuple[int, _T]]:
    """Like `read_jsonl`, with each row's line number from 1 for errors that are found later."""
    decoder = msgspec.json.Decoder(type_)
    return [
        (number, _decode(decoder, line, f"{path}:{number}"))
        for number, line in enumerate(read_bytes(path).split(b"\n"), start=1)
        if line.strip()
    ]


def read_json(path: Path, type_: type[_T]) -> _T:
    """A JSON file as `type_`.

    Raises:
        UserError: if it is missing, not JSON or does not fit `type_`.
    """
    return _decode(msgspec.json.Decoder(type_), read_bytes(path), str(path))


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes, place: str) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{place}: {error}; mend or remove it") from error


def write_jsonl(path: Path, rows: Iterable[Any], *, never_empty: bool = False) -> None:
    """Writes one JSON object a line, whole or not at all.

    A stage whose rows may be none asks for a file that is `never_empty`, since DVC warns of one: it is an empty line.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(msgspec.json.Encoder().encode_lines(rows) or b"\n" * never_empty)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with its keys in the order given, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_json(value))


def to_json(value: Any) -> bytes:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table whose columns are those of the first row, whole or not at all; no rows, an empty file."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def write_stdout(rows: Iterable[Any]) -> None:
    """Prints one JSON object a line."""
    sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(rows))
    sys.stdout.buffer.flush()


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `path` when the block ends without an exception."""
    with _temporary_path(path) as temporary:
        yield temporary
        check_inputs()
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `path`, old content gone, when the block ends without an exception."""
    with _temporary_path(path) as temporary:
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():  # safetensors' own are for their owner alone; what holds for the folder holds in it
                file.chmod(temporary.stat().st_mode & 0o666)
        check_inputs()
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)


@contextmanager
def _temporary_path(path: Path) -> Iterator[Path]:
    """The name of `path` in a hidden folder beside it: on the same file system, so that a rename moves it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        note_own_folder(Path(folder))
        yield Path(folder) / path.name


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if is_stage():
        note_input(path, digest)
    return digest
