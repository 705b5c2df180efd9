"""What Ray's errors mean: an actor that died, a disk, or a fault of our own code."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from pipeline.inference.batch.shards import WorkerError

TRIES = 3
"""Of a shard, a reader or the start of a worker, before it is given up."""


def end_actor(worker: Any, error: RayError) -> None:
    """Ends an actor that raised the error, so that another has its core; it may have died of it."""
    if not isinstance(error, RayActorError):
        ray.kill(worker)


def cause_of(error: RayError) -> Exception:
    """What was raised in an actor, if anything was: an actor that dies raises nothing."""
    cause: Exception = error
    while isinstance(cause, RayTaskError) and isinstance(cause.cause, Exception):
        cause = cause.cause
    return cause


def is_ours(error: RayError) -> bool:
    """Whether our own code raised it, and not a disk, which may be another one elsewhere."""
    return isinstance(error, RayTaskError) and not isinstance(cause_of(error), OSError | RayError)


def reason_of(error: RayError) -> str:
    """One line."""
    return next(iter(str(cause_of(error)).strip().splitlines()), type(error).__name__)


def ending_of(error: RayError, what: str) -> Exception:
    """What ends the run: the actor's own exception, or that actors die of it."""
    cause = cause_of(error)
    return WorkerError(f"{what} {TRIES} times ({reason_of(error)})") if isinstance(cause, RayError) else cause
