"""The work cut into shards that any process can do, each committed once, whole, under a name bound to what it is of.

A shard's name holds the digest of its records, the model and the options. So a run that was killed goes on with the
shards that are there, and another input, model or option finds none that fits.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from itertools import chain, count, islice
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from pipeline.classifiers.model_folder import ModelInfo
from pipeline.core.io import atomic_write
from pipeline.core.schemas import Record
from pipeline.inference.batch.rows import BatchOptions, BatchRows, classify_batch
from pipeline.inference.batch.summary import BatchCounts
from pipeline.inference.classifier import Classifier
from pipeline.inference.readers.files import ReadMeter
from pipeline.inference.readers.schema import InputRecord

SHARD_VERSION = 2
"""Changes whenever the same records and options give other rows, or a shard's file another content."""
SHARD_BYTES = 2**18
"""Bytes of records: some 300 paragraphs, ten seconds of the transformer's work."""
SHARD_SECTIONS = ("rows", "articles", "quarantined")
"""What a shard's file holds after its header, in this order."""
M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


@dataclass(frozen=True)
class Shard:
    """Some records; `name` tells them from all others, `read` is how far the inputs had been read."""

    name: str
    records: Sequence[InputRecord]
    read: int


class WorkerError(Exception):
    """A worker is gone that nobody told to go."""


class ShardHeader(Record, frozen=True):
    """First line of a shard's file: how many bytes of each section follow, and what they count."""

    rows: int
    articles: int
    quarantined: int
    counts: BatchCounts


class ShardJob(Record, frozen=True):
    """What a worker needs: the model's folder, the options, and the folder that shards come from and go to.

    `checked` is what `inspect_model_folder` has said of the model: the job's parent checks it, for all workers.
    """

    model: str
    options: BatchOptions
    folder: str
    threads: int | None = None
    cache: str = ""
    checked: tuple[ModelInfo, str] | None = None

    def path(self, name: str) -> Path:
        """Where a shard is committed."""
        return Path(self.folder) / name

    def waiting(self, name: str) -> Path:
        """Where a shard's records wait for a worker."""
        return Path(self.folder) / f".{name}.asked"


def shard_key(model: str, options: BatchOptions) -> bytes:
    """What a shard is bound to beside its records."""
    return msgspec.json.encode([SHARD_VERSION, model, options])


def cut_shards(records: Iterable[InputRecord], shard_key: bytes, meter: ReadMeter) -> Iterator[Shard]:
    """Shards of about `SHARD_BYTES`, a record always whole."""
    stream, encoder = iter(records), msgspec.json.Encoder()
    for number in count():
        some, size, digest = [], 0, hashlib.blake2b(shard_key, digest_size=12)
        for record in stream:
            line = encoder.encode(record)
            digest.update(b"\n" + line)
            some.append(record)
            size += len(line)
            if size >= SHARD_BYTES:
                break
        if not some:
            return
        yield Shard(f"{number:07d}-{digest.hexdigest()}", some, meter.read)


class Worker:
    """Does shards of one job, in whatever process it was made."""

    def __init__(self, job: ShardJob) -> None:
        # Two heaps for all threads: glibc gives each its own, and OpenVINO's then hold 40 MB more (docs/LOG.md).
        with suppress(OSError, AttributeError):  # elsewhere than in glibc
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
        self._job = job
        self._classifier = Classifier.load(job.model, job.threads, job.cache or None, job.checked)

    def __call__(self, name: str, records: Sequence[InputRecord]) -> None:
        """Commits the shard of that name."""
        with redirect_stderr(cast(TextIO, _NoTerminal(sys.stderr))):
            batch = classify_batch(records, self._classifier, self._job.options)
        with atomic_write(self._job.path(name)) as temporary, temporary.open("wb") as file:
            file.writelines(_encoded(batch))


class _NoTerminal:
    """A stream that says it is no terminal: what computes a shard passes messages on and draws no bar under ours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _encoded(batch: BatchRows) -> list[bytes]:
    encoder = msgspec.json.Encoder()
    lines = {name: encoder.encode_lines(getattr(batch, name)) for name in SHARD_SECTIONS}
    header = ShardHeader(**{name: len(data) for name, data in lines.items()}, counts=batch.counts)
    return [encoder.encode_lines([header]), *lines.values()]


def shard_counts(path: Path) -> BatchCounts:
    """What a committed shard counts."""
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=ShardHeader).counts


def read_section(path: Path, name: str) -> bytes:
    """JSON lines of a committed shard: its `rows`, `articles` or `quarantined`."""
    with path.open("rb") as file:
        header = msgspec.json.decode(file.readline(), type=ShardHeader)
        before = SHARD_SECTIONS[: SHARD_SECTIONS.index(name)]
        file.seek(sum(getattr(header, section) for section in before), os.SEEK_CUR)
        return file.read(getattr(header, name))


def run_shards(shards: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[tuple[Shard, bool]]:
    """Each shard in order once it is committed, and whether an earlier run had committed it.

    A job of a single shard is done in this process: starting another takes longer.

    Raises:
        WorkerError: if a worker was killed.
    """
    stream = iter(shards)
    first = list(islice(stream, 2))
    stream = chain(first, stream)
    yield from _run_here(stream, job) if workers == 1 or len(first) < 2 else _run_in_pool(stream, job, workers)


def _run_here(shards: Iterable[Shard], job: ShardJob) -> Iterator[tuple[Shard, bool]]:
    worker: Worker | None = None
    for shard in shards:
        done_before = job.path(shard.name).exists()
        if not done_before:
            worker = worker or Worker(job)
            worker(shard.name, shard.records)
        yield shard, done_before


def _run_in_pool(shards: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[tuple[Shard, bool]]:
    """At most two shards a worker are under way, so that memory stays bounded."""
    under_way: deque[tuple[Shard, Future[None] | None]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (job,))
    try:
        for shard in shards:
            done_before = job.path(shard.name).exists()
            under_way.append((shard, None if done_before else _submit(shard, job, pool)))
            if len(under_way) > 2 * workers:
                yield _finished(*under_way.popleft())
        while under_way:
            yield _finished(*under_way.popleft())
    except BrokenProcessPool as error:
        raise WorkerError("a worker died, perhaps for lack of memory") from error
    except KeyboardInterrupt:
        for child in active_children():  # or leaving waits until the shards under way are done
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _submit(shard: Shard, job: ShardJob, pool: ProcessPoolExecutor) -> Future[None]:
    """Records go by file and only names through the pipe: a worker killed amid a long message would hang the pool."""
    job.waiting(shard.name).write_bytes(msgspec.json.encode(shard.records))
    return pool.submit(_work, shard.name)


def _finished(shard: Shard, future: Future[None] | None) -> tuple[Shard, bool]:
    if future:
        future.result()
    return shard, future is None


_WORKER: list[tuple[ShardJob, Worker]] = []
"""The one of this process, if it is a pool's."""


def _start_worker(job: ShardJob) -> None:
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
    worker(name, msgspec.json.decode(job.waiting(name).read_bytes(), type=list[InputRecord]))
    job.waiting(name).unlink()
