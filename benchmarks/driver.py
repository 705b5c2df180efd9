"""How many shards a second one driver hands out on a Ray cluster, with readers and workers that do nothing.

`python -m benchmarks.driver 1000000` takes a quarter of an hour and the extra `ray`. A shard has 256 KiB of records, as
in a real run; a million of them are 256 GB, 430 million paragraphs of news.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
import msgspec
import ray

from pipeline.inference.batch.ids import RepeatedIds
from pipeline.inference.batch.scheduling import Schedule
from pipeline.inference.batch.shards import SHARD_BYTES, Done, Shard, ShardJob
from pipeline.inference.batch.summary import BatchCounts

SHARDS_A_SPLIT = 256
RECORDS_A_SHARD = 430


class NoReader:
    """Has shards without reading any."""

    def __init__(self, number: int, place: int) -> None:
        self._number, self._place = number, place
        self._records = bytes(SHARD_BYTES)

    def next(self) -> tuple[Shard | None, bytes]:
        """The next shard."""
        if self._place == SHARDS_A_SPLIT:
            return None, b""
        name = f"{self._number:07d}-{self._place:07d}-{'0' * 24}"
        self._place += 1
        return Shard(name, b"", bytes(8 * RECORDS_A_SHARD), SHARD_BYTES, {}), self._records


class NoWorker:
    """Has done each shard."""

    def ready(self) -> bool:
        """Nothing is loaded."""
        return True

    def do(self, name: str, records: bytes) -> tuple[bytes, str]:
        """Counts as of a real shard."""
        counts = BatchCounts(
            records=RECORDS_A_SHARD, statuses={"classified": RECORDS_A_SHARD}, languages={"kk": 215, "ru": 215}
        )
        return msgspec.json.encode(counts), ""


class NoWork:
    """Actors that do nothing."""

    job: ShardJob = None  # type: ignore[assignment]  # no shard was done before
    model = None

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._worker, self._reader = (ray.remote(num_cpus=0)(each) for each in (NoWorker, NoReader))

    def say(self, message: str) -> None:
        """Shows what goes wrong."""
        click.echo(message, err=True)

    def start_worker(self) -> Any:
        """A worker."""
        return self._worker.remote()

    def start_reader(self, reading: Any, number: int, split: Any, place: int) -> Any:
        """A reader."""
        return self._reader.remote(number, place)


def driven(shards: int, workers: int) -> Iterator[Done]:
    """So many shards."""
    splits = ((number, []) for number in range(-(-shards // SHARDS_A_SPLIT)))
    return Schedule(NoWork(workers), None, splits, frozenset()).in_order()  # type: ignore[arg-type]


def main() -> None:
    """Prints rate and memory at each tenth of the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=int)
    parser.add_argument("--workers", type=int, default=8)
    asked = parser.parse_args()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    names, counts, began = list[str](), BatchCounts(), time.monotonic()
    with TemporaryFile(dir=Path.cwd()) as file:
        ids = RepeatedIds(file)
        for shard, counted in driven(asked.shards, asked.workers):
            counts.add(counted)
            ids.note(shard.ids)
            names.append(shard.name)
            if len(names) % max(1, asked.shards // 10) == 0:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                click.echo(f"{len(names):,} shards: {len(names) / (time.monotonic() - began):,.0f}/s, {memory:,} MB")
        before = time.monotonic()
        repeated = ids.count()
        click.echo(f"{counts.records:,} records, {repeated:,} ids repeat, counted in {time.monotonic() - before:.0f} s")


if __name__ == "__main__":
    main()
