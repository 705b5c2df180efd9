"""Where a user's files are: a folder, or an object store by its address (s3://bucket/key), both as paths.

Outputs appear whole: on a disk by a rename, in a store by one put.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.io import atomic_write


def located(address: str) -> Path:
    """The path of an address, for stores one that behaves like `pathlib.Path`.

    Raises:
        UserError: if the library that speaks to the store is missing.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return Path(address)
    if scheme == "file":
        return Path(rest)
    try:
        from upath import UPath

        # No `Path` to Python, but one to all that is done with it here. Others write, too, so no listing is kept.
        path: Path = UPath(address, use_listings_cache=False)
    except ImportError as error:
        missing = error.name or str(error)
        raise UserError(f"{address}: {missing} is not installed; `pip install 'taqyryp[cloud]'` brings it") from error
    except ValueError as error:
        raise UserError(f"{address}: {error}; s3://, gs:// and file:// are known") from error
    return path


def is_remote(path: Path) -> bool:
    """Whether a path leads to an object store."""
    return not isinstance(path, Path)


def remote_files(path: Path) -> list[tuple[Path, str, int]]:
    """The objects that an address stands for: one, those below a prefix, or those that fit a pattern.

    Their paths, names and sizes in bytes, sorted by name, without hidden ones.

    Raises:
        UserError: if there is none, or the store refuses.
    """
    store, key = _store(path), _key(path).rstrip("/")
    with _asking(path):
        is_folder = not has_magic(key) and not store.isfile(key)
        found = store.find(key, detail=True) if is_folder else store.glob(key, detail=True)
    files = []
    for name, facts in sorted(found.items()):
        shown = PurePosixPath(name).relative_to(key) if is_folder else PurePosixPath(PurePosixPath(name).name)
        if facts["type"] == "file" and not any(part.startswith(".") for part in shown.parts):
            files.append((_same_store(path, name), str(shown), facts["size"]))
    if not files:
        raise UserError(f"{path}: nothing there; check the address")
    return files


@contextmanager
def _asking(path: Path) -> Iterator[None]:
    """Makes one line of what a store refuses."""
    refusals: tuple[type[Exception], ...] = (OSError,)
    with suppress(ModuleNotFoundError):
        from botocore.exceptions import BotoCoreError

        refusals = (OSError, BotoCoreError)  # s3fs passes it on
    try:
        yield
    except refusals as error:
        raise UserError(f"{path}: {error}; check the address and the store's credentials") from error


def begin_folder(folder: Path) -> None:
    """Makes a folder, in a store a first object there: what can't be written shows before there is work to lose.

    Raises:
        UserError: if it can't be written to.
    """
    if is_remote(folder):
        with _asking(folder):
            put(folder / ".begun", b"")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder.parent}: cannot be written to ({error.strerror}); write elsewhere") from error


def names_in(folder: Path) -> set[str]:
    """The names of the files in a folder, but for hidden ones."""
    if not is_remote(folder):
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    names = (PurePosixPath(name).name for name in _store(folder).find(_key(folder)))
    return {name for name in names if not name.startswith(".")}


def remove_folder(folder: Path) -> None:
    """Removes a folder and what is in it."""
    if is_remote(folder):
        _store(folder).rm(_key(folder), recursive=True)
    else:
        shutil.rmtree(folder)


def absolute(path: Path) -> Path:
    """The same path for a process in another folder."""
    return path if is_remote(path) or path == Path("-") else path.absolute()


def put(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    if is_remote(path):
        _store(path).pipe_file(_key(path), data)
        return
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def put_stream(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes an object of any size to a store, whole or not at all."""
    store = _store(path)
    with store.transaction, store.open(_key(path), "wb") as file:
        for piece in pieces:
            file.write(piece)


def put_file(path: Path, file: Path) -> None:
    """Brings a file of this machine to a store, whole or not at all."""
    _store(path).put_file(str(file), _key(path))


def _store(path: Any) -> Any:
    return path.fs


def _key(path: Any) -> str:
    key: str = path.path
    return key


def _same_store(path: Any, key: str) -> Path:
    found: Path = path.with_segments(f"{path.protocol}://{key}")
    return found
