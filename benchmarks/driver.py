"""What a cluster's driver takes for each shard: scheduling, counting, ids, with readers and workers that do nothing.

    python -m benchmarks.driver 1000000            # answers come at once: the driver's own work and memory
    python -m benchmarks.driver 10000 --on-ray     # with Ray's messages, and 256 KiB of records a shard

A million shards are 256 GB of records, 430 million paragraphs of news.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
import msgspec
import ray

from pipeline.inference.batch import scheduling
from pipeline.inference.batch.ids import RepeatedIds
from pipeline.inference.batch.shards import SHARD_BYTES, Shard, ShardJob
from pipeline.inference.batch.summary import BatchCounts

SHARDS_A_SHARE = 256
RECORDS_A_SHARD = 430


class NoReader:
    """Has shards without reading any."""

    def __init__(self, number: int, place: int, records: bytes) -> None:
        self._number, self._place, self._records = number, place, records

    def next(self) -> tuple[Shard | None, bytes]:
        """The next shard."""
        if self._place == SHARDS_A_SHARE:
            return None, b""
        name = f"{self._number:07d}-{self._place:07d}-{'0' * 24}"
        first = (self._number * SHARDS_A_SHARE + self._place) * RECORDS_A_SHARD
        self._place += 1
        ids = b"".join((first + at).to_bytes(8, "little") for at in range(RECORDS_A_SHARD))
        return Shard(name, b"", ids, SHARD_BYTES, {}), self._records


class NoWorker:
    """Has done each shard."""

    def ready(self) -> bool:
        """Nothing is loaded."""
        return True

    def do(self, name: str, records: bytes) -> tuple[bytes, str]:
        """Counts as of a real shard."""
        return msgspec.json.encode(BatchCounts(records=RECORDS_A_SHARD, statuses={"classified": RECORDS_A_SHARD})), ""


class AtOnce:
    """An actor in this process, called as one of Ray's."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        return _Method(getattr(self._actor, name))


class _Method:
    def __init__(self, method: Callable[..., Any], returns: int = 1) -> None:
        self._method, self._returns = method, returns

    def options(self, num_returns: int) -> _Method:
        return _Method(self._method, num_returns)

    def remote(self, *arguments: Any) -> Any:
        answer = self._method(*(each.value for each in map(_answered, arguments)))
        return _Answer(answer) if self._returns == 1 else [_Answer(part) for part in answer]


class _Answer:
    def __init__(self, value: Any) -> None:
        self.value = value


def _answered(value: Any) -> _Answer:
    return value if isinstance(value, _Answer) else _Answer(value)


class RayAtOnce:
    """What the schedule asks of Ray, where each answer is there when it was asked for."""

    @staticmethod
    def get(answer: _Answer) -> Any:
        """The value."""
        return answer.value

    @staticmethod
    def wait(answers: list[_Answer], **_: Any) -> tuple[list[_Answer], list[_Answer]]:
        """All of them."""
        return answers, []

    @staticmethod
    def kill(_: Any) -> None:
        """Nothing is there to be killed."""


class NoWork:
    """Actors that do nothing, of Ray or in this process."""

    job: ShardJob = None  # type: ignore[assignment]  # no shard was done before
    model = None

    def __init__(self, workers: int, on_ray: bool) -> None:
        self.workers, self._records = workers, bytes(SHARD_BYTES) if on_ray else b""
        self._start = _on_ray if on_ray else _here

    def say(self, message: str) -> None:
        """Shows what goes wrong."""
        click.echo(message, err=True)

    def start_worker(self) -> Any:
        """A worker."""
        return self._start(NoWorker)

    def start_reader(self, reading: Any, number: int, share: Any, place: int) -> Any:
        """A reader."""
        return self._start(NoReader, number, place, self._records)


def _on_ray(kind: type, *arguments: Any) -> Any:
    return ray.remote(num_cpus=0)(kind).remote(*arguments)


def _here(kind: type, *arguments: Any) -> Any:
    return AtOnce(kind(*arguments))


@click.command()
@click.argument("shards", type=int)
@click.option("--workers", default=8)
@click.option("--on-ray", is_flag=True)
def main(shards: int, workers: int, on_ray: bool) -> None:
    """Prints rates and memory at each tenth of the way."""
    if on_ray:
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    else:
        scheduling.ray = RayAtOnce  # type: ignore[attr-defined]
    shares: Iterator[tuple[int, Any]] = ((number, []) for number in range(-(-shards // SHARDS_A_SHARE)))
    schedule = scheduling.Schedule(NoWork(workers, on_ray), None, shares, frozenset())  # type: ignore[arg-type]
    names, counts, began = list[str](), BatchCounts(), time.monotonic()
    with TemporaryFile(dir=Path.cwd()) as file:
        ids = RepeatedIds(file)
        for shard, counted in schedule.in_order():
            counts.add(counted)
            ids.note(shard.ids)
            names.append(shard.name)
            if len(names) % max(1, shards // 10) == 0:
                used = resource.getrusage(resource.RUSAGE_SELF)
                spent = (used.ru_utime + used.ru_stime) / len(names) * 1000
                rate = len(names) / (time.monotonic() - began)
                click.echo(f"{len(names):,}: {rate:,.0f}/s, {spent:.2f} ms of CPU each, {used.ru_maxrss >> 10:,} MB")
        before = time.monotonic()
        repeated = ids.count()
        click.echo(f"{counts.records:,} ids, {repeated:,} repeat, counted in {time.monotonic() - before:.0f} s")


if __name__ == "__main__":
    main()
