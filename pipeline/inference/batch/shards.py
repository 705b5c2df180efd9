"""The work cut into parts that any process can do, each committed once, whole, under a name bound to what it is of.

A part's name holds the digest of its entries, the model and the options. So a run that was killed goes on with the
parts that are there, and another input, model or option finds none that fits.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from pipeline.core.io import atomic_write
from pipeline.core.schemas import Record
from pipeline.inference.batch.rows import BatchOptions, BatchRows, classify_batch
from pipeline.inference.batch.summary import BatchCounts
from pipeline.inference.classifier import Classifier
from pipeline.inference.readers.files import ReadMeter
from pipeline.inference.readers.schema import InputRecord

SHARD_VERSION = 1
"""Changes whenever the same entries and options give other rows."""
SHARD_BYTES = 2**18
"""Bytes of entries: some 300 paragraphs, ten seconds of the transformer's work."""

M_ARENA_MAX = -8
"""Of glibc's malloc.h."""

SHARD_SECTIONS = ("rows", "articles", "quarantined")
"""What a part's file holds after its header, in this order."""


@dataclass(frozen=True)
class Shard:
    """Entries as JSON lines; `name` tells them from all others, `read` is how far the inputs had been read."""

    name: str
    entries: bytes
    read: int


class WorkerError(Exception):
    """A worker is gone that nobody told to go."""


class ShardHeader(Record, frozen=True):
    """First line of a part's file: how many bytes of each section follow, and what they count."""

    rows: int
    articles: int
    quarantined: int
    tally: BatchCounts


class ShardJob(Record, frozen=True):
    """What a worker needs: the model's folder, the options, and the folder that parts come from and go to."""

    model: str
    options: BatchOptions
    folder: str
    threads: int | None = None
    cache: str = ""

    def path(self, name: str) -> Path:
        """Where a part is committed."""
        return Path(self.folder) / name

    def asked(self, name: str) -> Path:
        """Where a part's entries wait for a worker."""
        return Path(self.folder) / f".{name}.asked"


def shard_key(model: str, options: BatchOptions) -> bytes:
    """What a part is bound to beside its entries."""
    return msgspec.json.encode([SHARD_VERSION, model, options])


def cut_shards(entries: Iterable[InputRecord], shard_key: bytes, meter: ReadMeter) -> Iterator[Shard]:
    """Parts of about `SHARD_BYTES`, an entry always whole."""
    lines: list[bytes] = []
    size = number = 0
    for entry in entries:
        lines.append(msgspec.json.encode(entry))
        size += len(lines[-1])
        if size >= SHARD_BYTES:
            yield _part(number, lines, shard_key, meter)
            lines, size, number = [], 0, number + 1
    if lines:
        yield _part(number, lines, shard_key, meter)


def _part(number: int, lines: list[bytes], shard_key: bytes, meter: ReadMeter) -> Shard:
    data = b"\n".join(lines)
    digest = hashlib.blake2b(shard_key + b"\n" + data, digest_size=12).hexdigest()
    return Shard(f"{number:07d}-{digest}", data, meter.read)


class Worker:
    """Does parts of one job, in whatever process it was made."""

    def __init__(self, job: ShardJob) -> None:
        _share_heaps()
        self._job, self._classifier = job, Classifier.load(job.model, job.threads, job.cache or None)

    def __call__(self, name: str, data: bytes) -> None:
        """Commits the part of that name, whose entries are `data`."""
        entries = [msgspec.json.decode(line, type=InputRecord) for line in data.split(b"\n")]
        with redirect_stderr(cast(TextIO, _NoTerminal(sys.stderr))):
            lines = _encoded(classify_batch(entries, self._classifier, self._job.options))
        with atomic_write(self._job.path(name)) as temporary, temporary.open("wb") as file:
            file.writelines(lines)


def _share_heaps() -> None:
    """Lets all threads have two heaps: glibc gives each its own, which hold 40 MB more with OpenVINO's threads."""
    with suppress(OSError, AttributeError):  # elsewhere than in glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class _NoTerminal:
    """A stream that says it is no terminal: what computes a part passes messages on and draws no bar under ours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _encoded(found: BatchRows) -> list[bytes]:
    encoder = msgspec.json.Encoder()
    lines = {name: b"".join(encoder.encode(row) + b"\n" for row in getattr(found, name)) for name in SHARD_SECTIONS}
    header = ShardHeader(**{name: len(data) for name, data in lines.items()}, tally=found.tally)
    return [encoder.encode(header) + b"\n", *lines.values()]


def shard_counts(path: Path) -> BatchCounts:
    """What a committed part counts."""
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=ShardHeader).tally


def read_section(path: Path, name: str) -> bytes:
    """JSON lines of a committed part: its `rows`, `articles` or `quarantined`."""
    with path.open("rb") as file:
        header = msgspec.json.decode(file.readline(), type=ShardHeader)
        for each in SHARD_SECTIONS:
            if each == name:
                break
            file.seek(getattr(header, each), os.SEEK_CUR)
        return file.read(getattr(header, name))


def run_shards(parts: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[tuple[Shard, bool]]:
    """Each part in order once it is committed, and whether an earlier run had committed it.

    A job of a single part is done in this process: starting another takes longer.

    Raises:
        WorkerError: if a worker was killed.
    """
    stream = iter(parts)
    first = list(islice(stream, 2))
    stream = chain(first, stream)
    if workers == 1 or len(first) < 2:
        yield from _here(stream, job)
    else:
        yield from _elsewhere(stream, job, workers)


def _here(parts: Iterable[Shard], job: ShardJob) -> Iterator[tuple[Shard, bool]]:
    worker: Worker | None = None
    for part in parts:
        before = job.path(part.name).exists()
        if not before:
            worker = worker or Worker(job)
            worker(part.name, part.entries)
        yield part, before


def _elsewhere(parts: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[tuple[Shard, bool]]:
    """At most two parts a worker are under way, so that memory stays bounded."""
    waiting: deque[tuple[Shard, Future[None] | None]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (job,))
    try:
        for part in parts:
            before = job.path(part.name).exists()
            waiting.append((part, None if before else _asked(part, job, pool)))
            if len(waiting) > 2 * workers:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    except BrokenProcessPool as error:
        raise WorkerError("a worker died, perhaps for lack of memory") from error
    except KeyboardInterrupt:
        for child in active_children():  # or leaving waits until the parts under way are done
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _asked(part: Shard, job: ShardJob, pool: ProcessPoolExecutor) -> Future[None]:
    """Entries go by file and only names through the pipe: a worker killed amid a long message would hang the pool."""
    job.asked(part.name).write_bytes(part.entries)
    return pool.submit(_work, part.name)


def _finished(part: Shard, future: Future[None] | None) -> tuple[Shard, bool]:
    if future:
        future.result()
    return part, future is None


_WORKER: list[tuple[ShardJob, Worker]] = []
"""The one of this process, if it is a pool's."""


def _start(job: ShardJob) -> None:
    """Makes a process a worker: an interrupt is the parent's to handle, and without a parent there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _WORKER.append((job, Worker(job)))


def _leave_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _work(name: str) -> None:
    ((job, worker),) = _WORKER
    worker(name, job.asked(name).read_bytes())
    job.asked(name).unlink()
