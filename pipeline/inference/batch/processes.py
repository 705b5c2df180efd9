"""The engine of one machine: shards done in processes of it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pipeline.inference.batch.shards import Done, Reading, Shard, ShardJob, Worker, WorkerError, done, done_before
from pipeline.inference.readers.splits import Share

_T = TypeVar("_T")
_R = TypeVar("_R")


class Processes:
    """The engine of one machine."""

    def __init__(self, job: ShardJob, workers: int) -> None:
        self._job, self._workers = job, workers

    def map(self, function: Callable[[_T], _R], values: Iterable[_T]) -> Iterator[_R]:
        """What the function makes of each value."""
        return map(function, values)

    def run(self, splits: Iterable[Share], reading: Reading, before: Set[str]) -> Iterator[Done]:
        """Each shard in order once it is committed; those of `before` are there already.

        A job of a single shard is done in this process: starting another takes longer.

        Raises:
            WorkerError: if a worker was killed.
        """
        stream = (shard for number, split in enumerate(splits) for shard in reading.shards_of(number, split))
        first = list(islice(stream, 2))
        shards = chain(first, stream)
        if self._workers == 1 or len(first) < 2:
            yield from _run_here(shards, self._job, before)
        else:
            yield from _run_in_pool(shards, self._job, before, self._workers)


def _run_here(shards: Iterable[Shard], job: ShardJob, before: Set[str]) -> Iterator[Done]:
    worker: Worker | None = None
    for shard in shards:
        if shard.name in before:
            yield done_before(shard, job)
        else:
            worker = worker or Worker(job)
            yield done(shard, worker(shard.name, shard.records))


def _run_in_pool(shards: Iterable[Shard], job: ShardJob, before: Set[str], workers: int) -> Iterator[Done]:
    """At most two shards for each worker are under way: the next is ready, and memory stays bounded."""
    under_way: deque[tuple[Shard, Future[bytes] | None]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (job,))
    with TemporaryDirectory(prefix=".asked.", dir=job.scratch, ignore_cleanup_errors=True) as folder:
        try:
            for shard in shards:
                future = None if shard.name in before else _submit(shard, Path(folder), pool)
                under_way.append((replace(shard, records=b""), future))
                yield from _finished(under_way, job, keep=2 * workers)
            yield from _finished(under_way, job, keep=0)
        except BrokenProcessPool as error:
            raise WorkerError("a worker died, perhaps for lack of memory") from error
        except KeyboardInterrupt:
            for child in active_children():  # or leaving waits until the shards under way are done
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(shard: Shard, folder: Path, pool: ProcessPoolExecutor) -> Future[bytes]:
    """Records go by file and only names through the pipe: a worker killed amid a long message would hang the pool."""
    waiting = folder / shard.name
    waiting.write_bytes(shard.records)
    return pool.submit(_work, waiting)


def _finished(under_way: deque[tuple[Shard, Future[bytes] | None]], job: ShardJob, keep: int) -> Iterator[Done]:
    while len(under_way) > keep:
        shard, future = under_way.popleft()
        yield done(shard, future.result()) if future else done_before(shard, job)


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


def _work(waiting: Path) -> bytes:
    (worker,) = _WORKER
    counts = worker(waiting.name, waiting.read_bytes())
    waiting.unlink()
    return counts
