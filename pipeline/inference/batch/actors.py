"""What the processes of a cluster do: read splits, and classify shards with a model that came with the job.

Each node has this package and sees the files; a path that leads to nothing there is an error, not an empty input.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path

import msgspec

from pipeline.classifiers.model_folder import inspect_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder
from pipeline.core.storage import is_remote
from pipeline.inference.batch.shards import SHARD_VERSION, Reading, Shard, ShardJob, Worker
from pipeline.inference.readers.sources import STDIN, Source
from pipeline.inference.readers.splits import Share

ModelFiles = Mapping[str, bytes]
"""A model folder by the names of its files."""


class ShardReader:
    """Reads a split from the shard at a place on."""

    def __init__(self, reading: Reading, number: int, split: Share, place: int) -> None:
        self._split, self._shards = split, islice(reading.shards_of(number, split), place, None)
        self._is_seen = False

    def next(self) -> tuple[Shard | None, bytes]:
        """The next shard without its records, and those; None behind the last one.

        Raises:
            UserError: if this node does not see a file.
        """
        if not self._is_seen:  # not in the constructor, whose errors come as text alone
            for source in self._split:
                if isinstance(source, Source):
                    check_sight(source.path)
            self._is_seen = True
        shard = next(self._shards, None)
        return (replace(shard, records=b""), shard.records) if shard else (None, b"")


class ShardWorker:
    """Does shards with the model, loaded once: the folder itself if the node sees it, else a copy on the node."""

    def __init__(self, version: int, job: ShardJob) -> None:
        self._version, self._job = version, job
        self._worker: Worker | None = None

    def ready(self) -> bool:
        """Whether the model is loaded; else it has to be brought.

        Raises:
            UserError: if this node has another version, or does not see where shards go.
        """
        if self._version != SHARD_VERSION:
            raise UserError(f"{socket.gethostname()}: has another version of taqyryp; install the same on all nodes")
        check_sight(self._job.folder)
        folders = (self._job.model, kept(self._job))
        self._worker = next((self._loaded(folder) for folder in folders if is_same(folder, self._job)), None)
        return self._worker is not None

    def _loaded(self, folder: Path) -> Worker:
        return Worker(msgspec.structs.replace(self._job, model=folder))

    def bring(self, files: ModelFiles) -> bool:
        """Keeps the model on this node, and loads it.

        Raises:
            UserError: if its files are not those of the job.
        """
        folder = kept(self._job)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker of the node writes it, the others wait
            if not is_same(folder, self._job):
                _write(folder, files)
        if not is_same(folder, self._job):
            raise UserError(f"{folder}: the model came damaged to {socket.gethostname()}; give the command again")
        self._worker = self._loaded(folder)
        return True

    def do(self, name: str, records: bytes) -> tuple[bytes, str]:
        """Commits the shard of that name: what it counts, as JSON, and what was said on the way."""
        if self._worker is None:
            raise RuntimeError("a worker without its model")
        with redirect_stderr(StringIO()) as said:
            counts = self._worker(name, records)
        return counts, said.getvalue()


def check_sight(path: Path) -> None:
    """Refuses a path that this node does not see.

    Raises:
        UserError: if it leads to nothing.
    """
    if not is_remote(path) and path != STDIN and not path.exists():
        remedy = "name a folder that all nodes see, or an object store (s3://…)"
        raise UserError(f"{path}: is not there on {socket.gethostname()}; {remedy}")


def packed(folder: Path) -> ModelFiles:
    """A model folder to be sent to other nodes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept(job: ShardJob) -> Path:
    """Where a node keeps the job's model if it does not see its folder: by the model's name, which has its digest."""
    return Path(tempfile.gettempdir(), f"taqyryp-models-{os.getuid()}", job.checked[1])


def is_same(folder: Path, job: ShardJob) -> bool:
    """Whether a folder holds the job's model, all files checked."""
    try:
        return folder.is_dir() and inspect_model_folder(folder) == job.checked
    except UserError:
        return False


def _write(folder: Path, files: ModelFiles) -> None:
    with atomic_folder(folder) as temporary:
        for name, data in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
