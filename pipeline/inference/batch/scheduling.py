"""Who reads and who classifies next on a cluster, and what is done again.

Readers are asked for the next shard while few wait for a worker, so that records don't pile up. Whatever a worker or
reader dies of, what it was at is read and done again by others; what fails three times is given up.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import ray
from ray.exceptions import ObjectLostError, RayError

from pipeline.core.io import Say
from pipeline.inference.batch.losses import TRIES, cause_of, end_actor, ending_of, is_ours, reason_of
from pipeline.inference.batch.shards import Done, Reading, Shard, ShardJob, done, done_before
from pipeline.inference.readers.splits import Share

WORKERS_A_READER = 16
"""From a disk a reader feeds 44 cores that classify by TF-IDF; a store is slower."""
AHEAD = 4
"""Shards that a reader is asked for at a time: then it reads while what it has read is on its way."""
SILENCE = 60
"""Seconds without news after which it is said what is waited for."""


class Actors(Protocol):
    """What shards are done with: see `cluster.Cluster`."""

    job: ShardJob
    workers: int
    say: Say
    start_worker: Callable[[], Any]

    @property
    def model(self) -> Any:
        """A reference to the model's files."""

    def start_reader(self, reading: Reading, number: int, split: Share, place: int) -> Any:
        """An actor that reads a split from the shard at a place on."""


@dataclass
class _Reading:
    """A split that an actor reads: the shards at the places in `asked` are on their way, `place` is asked for next.

    Only one that does again what was lost has a `stop`.
    """

    number: int
    split: Share
    actor: Any
    place: int = 0
    stop: int | None = None
    asked: set[int] = field(default_factory=set)

    @property
    def goes_on(self) -> bool:
        return self.place != self.stop


@dataclass(frozen=True)
class _Task:
    """A shard to be done, where it belongs, and a reference to its records."""

    key: tuple[int, int]
    split: Share
    shard: Shard
    records: Any


class Schedule:
    """What is under way: `waiting` are answers to come, each with what then happens."""

    def __init__(self, actors: Actors, reading: Reading, splits: Iterator[tuple[int, Share]], before: Set[str]) -> None:
        self._actors, self._splits, self._before = actors, splits, before
        self._waiting: dict[Any, Callable[[Any], None]] = {}
        self._readings: list[_Reading] = []
        self._tasks: deque[_Task] = deque()
        self._idle: list[Any] = []
        self._done: dict[tuple[int, int], Done] = {}
        self._lengths: dict[int, int] = {}
        self._failures: Counter[object] = Counter()
        self._alive = 0
        self._start_reader = partial(actors.start_reader, reading)
        self._next_split = next(splits, None)
        for _ in range(actors.workers):
            self._start_worker()

    def in_order(self) -> Iterator[Done]:
        """The shards as they are done, each behind those before it.

        Raises:
            WorkerError: if a shard, a reader or the start of workers failed three times.
        """
        number = place = 0
        while True:
            if (number, place) in self._done:
                yield self._done.pop((number, place))
                place += 1
            elif self._lengths.get(number) == place:
                number, place = number + 1, 0
            elif self._next_split is None and not self._readings and number > max(self._lengths, default=-1):
                return
            else:
                self._read()
                self._hand_out()
                self._listen()

    def _read(self) -> None:
        """Lets readers go on, as long as few shards wait for a worker."""
        most = -(-self._actors.workers // WORKERS_A_READER)
        while self._next_split and sum(reading.goes_on for reading in self._readings) < most:
            number, split = self._next_split
            self._readings.append(_Reading(number, split, self._start_reader(number, split, 0)))
            self._next_split = next(self._splits, None)
        for reading in self._readings:
            while reading.goes_on and len(reading.asked) < AHEAD and len(self._tasks) < self._actors.workers:
                self._ask(reading)

    def _ask(self, reading: _Reading) -> None:
        shard, records = reading.actor.next.options(num_returns=2).remote()
        self._waiting[shard] = partial(self._take, reading, reading.actor, reading.place, records)
        reading.asked.add(reading.place)
        reading.place += 1

    def _take(self, reading: _Reading, actor: Any, place: int, records: Any, answer: Any) -> None:
        """What a reader has read; what comes of one that was given up counts no more."""
        if actor is not reading.actor:
            return
        key = (reading.number, place)
        try:
            shard: Shard | None = ray.get(answer)
        except RayError as error:
            self._note_failure(key, error, "a reader was lost")
            reading.place = min(reading.asked)
            reading.asked.clear()
            reading.actor = self._start_reader(reading.number, reading.split, reading.place)
            return
        reading.asked.remove(place)
        if shard is None:
            reading.stop = reading.place
            self._lengths[reading.number] = min(place, self._lengths.get(reading.number, place))
        elif shard.name in self._before:
            self._done[key] = done_before(shard, self._actors.job)
        else:
            self._tasks.append(_Task(key, reading.split, shard, records))
        if not reading.asked and not reading.goes_on:
            self._readings.remove(reading)
            ray.kill(reading.actor)

    def _hand_out(self) -> None:
        while self._idle and self._tasks:
            worker, task = self._idle.pop(), self._tasks.popleft()
            answer = worker.do.remote(task.shard.name, task.records)
            self._waiting[answer] = partial(self._finish, worker, task)

    def _finish(self, worker: Any, task: _Task, answer: Any) -> None:
        """What a worker has done."""
        try:
            counts, said = ray.get(answer)
        except RayError as error:
            self._note_failure(task.key, error, "a worker was lost")
            self._replace(worker, error)
            number, place = task.key
            again = self._start_reader(number, task.split, place)  # its records may be lost, too
            self._readings.append(_Reading(number, task.split, again, place, place + 1))
            return
        sys.stderr.write(said)
        self._done[task.key] = done(task.shard, counts)
        self._idle.append(worker)

    def _start_worker(self) -> None:
        worker = self._actors.start_worker()
        self._waiting[worker.ready.remote()] = partial(self._welcome, worker)

    def _welcome(self, worker: Any, answer: Any) -> None:
        try:
            has_model = ray.get(answer)
        except RayError as error:
            self._failures["start"] += 1
            if is_ours(error):
                raise ending_of(error, "") from error
            end_actor(worker, error)
            if self._failures["start"] < TRIES:
                self._actors.say(f"a worker could not start ({reason_of(error)}); another is started")
                self._start_worker()
            elif not self._alive:
                raise ending_of(error, "a worker could not start") from error
            else:
                self._actors.say(f"a worker could not start ({reason_of(error)}); {self._alive} go on without it")
            return
        if has_model:
            self._alive += 1
            self._idle.append(worker)
        else:
            self._waiting[worker.bring.remote(self._actors.model)] = partial(self._welcome, worker)

    def _replace(self, worker: Any, error: RayError) -> None:
        """Another worker for one that is dead or on a bad node; one whose records were lost goes on."""
        if isinstance(cause_of(error), ObjectLostError):
            self._idle.append(worker)
            return
        self._alive -= 1
        end_actor(worker, error)
        self._start_worker()

    def _note_failure(self, key: object, error: RayError, what: str) -> None:
        """Says what was lost; raises what our own code raised, but for a disk's errors: other disks may do."""
        self._failures[key] += 1
        if is_ours(error) or self._failures[key] >= TRIES:
            raise ending_of(error, what) from error
        self._actors.say(f"{what} ({reason_of(error)}); its work is done again")

    def _listen(self) -> None:
        """Waits for answers."""
        answers = list(self._waiting)
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        if not ready:
            ready, _ = ray.wait(answers, num_returns=1, timeout=SILENCE)
        if not ready:
            self._actors.say(f"no news for {SILENCE} s; `ray status` says whether the cluster has what workers ask for")
        for answer in ready:
            self._waiting.pop(answer)(answer)
