"""Where a user's files are: a folder, or an object store by its address (s3://bucket/key), both as paths.

Outputs appear whole: on a disk by a rename, in a store by one put.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
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

        path: Path = UPath(address)  # not a `Path` to Python, but one to all that is done with it here
    except ImportError as error:
        missing = error.name or str(error)
        raise UserError(f"{address}: {missing} is not installed; `pip install 'taqyryp[cloud]'` brings it") from error
    except ValueError as error:
        raise UserError(f"{address}: {error}; s3://, gs:// and file:// are known") from error
    return path


def is_remote(path: Path) -> bool:
    """Whether a path leads to an object store."""
    return not isinstance(path, Path)


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
        file.writelines(pieces)


def _store(path: Any) -> Any:
    return path.fs


def _key(path: Any) -> Any:
    return path.path
