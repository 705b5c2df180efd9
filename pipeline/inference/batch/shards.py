"""The work cut into shards that any process can do, each committed once, whole, under a name that says what it is.

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
from io import StringIO
from itertools import chain, count, islice
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import msgspec

from pipeline.classifiers.model_folder import ModelInfo
from pipeline.core.io import atomic_write
from pipeline.core.schemas import Record
from pipeline.inference.batch.rows import BatchOptions, BatchRows, classify_batch
from pipeline.inference.batch.summary import BatchCounts
from pipeline.inference.classifier import Classifier
from pipeline.inference.readers.files import ReadMeter
from pipeline.inference.readers.schema import InputRecord

SHARD_VERSION = 3
"""Changes whenever the same records and options give other rows, or a shard's file another content."""
SHARD_BYTES = 2**18
"""Bytes of records: some 300 paragraphs, ten seconds of the transformer's work."""
SHARD_SECTIONS = ("rows", "articles", "quarantined")
"""What a shard's file holds after its header, in this order."""
M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


@dataclass(frozen=True)
class Shard:
    """Some records; no others have this `name`, and `read` is how many bytes of the inputs had been read."""

    name: str
    records: Sequence[InputRecord]
    read: int


class WorkerError(Exception):
    """A worker process was killed."""


class ShardHeader(Record, frozen=True):
    """First line of a shard's file: how many bytes of each section follow, and what they count."""

    sizes: dict[str, int]
    counts: BatchCounts


class ShardJob(Record, frozen=True):
    """What a worker needs: the model's folder, the options, and the folder that shards come from and go to.

    `checked` is what `inspect_model_folder` returned: the parent process checks the model's files once for all workers.
    """

    model: Path
    checked: tuple[ModelInfo, str]
    options: BatchOptions
    folder: Path
    threads: int | None = None
    cache: Path | None = None

    @property
    def key(self) -> bytes:
        """What a shard depends on beside its records."""
        return msgspec.json.encode([SHARD_VERSION, self.checked[1], self.options])


def cut_shards(records: Iterable[InputRecord], key: bytes, meter: ReadMeter) -> Iterator[Shard]:
    """Shards of about `SHARD_BYTES`, a record always whole."""
    stream, encoder = iter(records), msgspec.json.Encoder()
    for number in count():
        batch, size, digest = [], 0, hashlib.blake2b(key, digest_size=12)
        for record in stream:
            line = encoder.encode(record)
            digest.update(b"\n" + line)
            batch.append(record)
            size += len(line)
            if size >= SHARD_BYTES:
                break
        if not batch:
            return
        yield Shard(f"{number:07d}-{digest.hexdigest()}", batch, meter.read)


class Worker:
    """Does shards of one job; the model is loaded once."""

    def __init__(self, job: ShardJob) -> None:
        # Two heaps for all threads: glibc gives each its own, and OpenVINO's then hold 40 MB more (docs/LOG.md).
        with suppress(OSError, AttributeError):  # elsewhere than in glibc
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
        self._job = job
        self._classifier = Classifier(job.model, job.checked, job.threads, job.cache)

    def __call__(self, name: str, records: Sequence[InputRecord]) -> None:
        """Commits the shard of that name."""
        try:
            with redirect_stderr(StringIO()) as messages:  # which is no terminal: no bar is drawn under the batch's own
                batch = classify_batch(records, self._classifier, self._job.options)
        finally:
            sys.stderr.write(messages.getvalue())
        with atomic_write(self._job.folder / name) as temporary, temporary.open("wb") as file:
            file.writelines(_encoded(batch))


def _encoded(batch: BatchRows) -> list[bytes]:
    encoder = msgspec.json.Encoder()
    lines = {name: encoder.encode_lines(getattr(batch, name)) for name in SHARD_SECTIONS}
    header = ShardHeader(sizes={name: len(data) for name, data in lines.items()}, counts=batch.counts)
    return [encoder.encode_lines([header]), *lines.values()]


def shard_counts(path: Path) -> BatchCounts:
    """What a committed shard counts."""
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=ShardHeader).counts


def read_section(path: Path, name: str) -> bytes:
    """JSON lines of a committed shard: its `rows`, `articles` or `quarantined`."""
    with path.open("rb") as file:
        sizes = msgspec.json.decode(file.readline(), type=ShardHeader).sizes
        file.seek(sum(sizes[before] for before in SHARD_SECTIONS[: SHARD_SECTIONS.index(name)]), os.SEEK_CUR)
        return file.read(sizes[name])


def run_shards(shards: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[Shard]:
    """Each shard in order once it is committed; one that an earlier run had committed is not done again.

    A job of a single shard is done in this process: starting another takes longer.

    Raises:
        WorkerError: if a worker was killed.
    """
    stream = iter(shards)
    first = list(islice(stream, 2))
    stream = chain(first, stream)
    yield from _run_here(stream, job) if workers == 1 or len(first) < 2 else _run_in_pool(stream, job, workers)


def _run_here(shards: Iterable[Shard], job: ShardJob) -> Iterator[Shard]:
    worker: Worker | None = None
    for shard in shards:
        if not (job.folder / shard.name).exists():
            worker = worker or Worker(job)
            worker(shard.name, shard.records)
        yield shard


def _run_in_pool(shards: Iterable[Shard], job: ShardJob, workers: int) -> Iterator[Shard]:
    """At most two shards for each worker are under way: the next is ready, and memory stays bounded."""
    under_way: deque[tuple[Shard, Future[None] | None]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (job,))
    try:
        for shard in shards:
            done_before = (job.folder / shard.name).exists()
            under_way.append((shard, None if done_before else _submit(shard, job, pool)))
            yield from _finished(under_way, keep=2 * workers)
        yield from _finished(under_way, keep=0)
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
    waiting = job.folder / f".{shard.name}.asked"
    waiting.write_bytes(msgspec.json.encode(shard.records))
    return pool.submit(_work, shard.name, waiting)


def _finished(under_way: deque[tuple[Shard, Future[None] | None]], keep: int) -> Iterator[Shard]:
    while len(under_way) > keep:
        shard, future = under_way.popleft()
        if future:
            future.result()
        yield shard


_WORKER: list[Worker] = []
"""Of this process, if it belongs to a pool."""


def _start_worker(job: ShardJob) -> None:
    """Makes a process a worker: it leaves interrupts to the parent, and ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _WORKER.append(Worker(job))


def _leave_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _work(name: str, waiting: Path) -> None:
    (worker,) = _WORKER
    worker(name, msgspec.json.decode(waiting.read_bytes(), type=list[InputRecord]))
    waiting.unlink()
