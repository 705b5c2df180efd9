"""The engine of many machines: splits read and shards done by actors of a Ray cluster.

Ray starts the actors, brings records from those that read to those that classify, and says which died. What is done
stands in the shards' folder alone. So what is lost with a worker, a node or this process is read and done again, at the
latest by the same command.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property, partial
from tempfile import gettempdir, mkdtemp
from typing import Any, TypeVar

import msgspec
import ray

from pipeline.core.errors import UserError
from pipeline.core.io import Say
from pipeline.core.storage import absolute
from pipeline.inference.batch.actors import ShardReader, ShardWorker, packed
from pipeline.inference.batch.scheduling import Schedule
from pipeline.inference.batch.shards import SHARD_VERSION, Done, Reading, ShardJob
from pipeline.inference.batch.workers import find_allowance, needs
from pipeline.inference.readers.sources import Source
from pipeline.inference.readers.splits import Share

ANYWHERE: Mapping[str, Any] = {"num_cpus": 0, "scheduling_strategy": "SPREAD"}
"""Work that takes little, on any node."""
_T = TypeVar("_T")
_R = TypeVar("_R")
LONGEST_FOLDER = 25
STORE_BYTES = 200_000_000
"""For records on their way, where Ray runs on this machine alone."""


class Cluster:
    """A Ray cluster, or for want of an address one on this machine for as long as the run takes."""

    def __init__(self, job: ShardJob, address: str | None, workers: int | None, say: Say) -> None:
        address = address or os.environ.get("RAY_ADDRESS")
        self._folder = None if address else mkdtemp(prefix="taqyryp-ray-", dir=_short_folder())
        _connect(address, self._folder)
        threads, memory = needs(job.model)
        cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        threads = min([threads, *filter(None, cores)])  # a worker has to find room on any node
        self.workers = workers or max(1, sum(each // threads for each in cores))
        self.say = say
        places = {"folder": absolute(job.folder), "model": job.model.absolute()}
        self.job = msgspec.structs.replace(job, threads=threads, **places)
        worker = ray.remote(num_cpus=threads, memory=memory)(ShardWorker)
        self.start_worker: Callable[[], Any] = partial(worker.remote, SHARD_VERSION, self.job)

    def start_reader(self, reading: Reading, number: int, split: Share, place: int) -> Any:
        """An actor that reads a split from the shard at a place on."""
        return ray.remote(**ANYWHERE)(ShardReader).remote(reading, number, _absolute(split), place)

    @cached_property
    def model(self) -> Any:
        """The model's files, put into the cluster at the first node that does not see them."""
        return ray.put(packed(self.job.model))

    def map(self, function: Callable[[_T], _R], values: Iterable[_T]) -> Iterator[_R]:
        """What the function makes of each value, by tasks of the cluster."""
        task, under_way = ray.remote(**ANYWHERE)(function), deque[Any]()
        for value in values:
            under_way.append(task.remote(*_absolute([value])))
            if len(under_way) > 2 * self.workers:
                yield ray.get(under_way.popleft())
        while under_way:
            yield ray.get(under_way.popleft())

    def run(self, splits: Iterable[Share], reading: Reading, before: Set[str]) -> Iterator[Done]:
        """Each shard in order once it is committed; those of `before` are there already.

        Raises:
            WorkerError: if a shard, a reader or the start of workers failed three times.
        """
        yield from Schedule(self, reading, enumerate(splits), before).in_order()

    def close(self) -> None:
        """Leaves the cluster, and ends one that is this run's own."""
        ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _short_folder() -> str:
    """Where Ray's sockets find room, whose paths may have 107 bytes."""
    return gettempdir() if len(gettempdir()) < LONGEST_FOLDER else "/tmp"


def _connect(address: str | None, folder: str | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if folder:
        cores = find_allowance().cores
        alone = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        ray.init("local", _temp_dir=folder, **alone, **quiet)
        return
    try:
        host, _, port = (address or os.environ["RAY_ADDRESS"]).rpartition(":")
        if port.isdigit():
            socket.create_connection(
                (host.removeprefix("ray://"), int(port)), timeout=10
            ).close()  # Ray tries for minutes
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--address {address}: no Ray cluster that this machine belongs to ({error})") from error


def _absolute(sources: Sequence[Any]) -> list[Any]:
    """The same for processes in another folder."""
    return [replace(each, path=absolute(each.path)) if isinstance(each, Source) else each for each in sources]
