"""Which MLflow holds the ledger, one writer at a time, and how long a result may wait for it."""

from __future__ import annotations

import math
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.errors import UserError
from pipeline.core.io import sha256
from pipeline.tracking import project_root

T = TypeVar("T")
SQLITE = "sqlite:///"
WRITER_SECONDS = 120  # others of our processes may write a run each before it is our turn (five take 9 s)
LOCKED_SECONDS = 4  # how long a foreign lock on an SQLite store is waited for; MLflow would wait 20 s at each step


class StoreError(UserError):
    """MLflow can't be reached, is too slow or refuses: nothing is lost, the result can be tracked later."""


@dataclass
class Store:
    """An opened MLflow: its client, the experiment's id, and until when it may keep us waiting (time.monotonic)."""

    client: Any  # MlflowClient, whose type MLflow does not export to type checkers
    experiment: str
    deadline: float

    @contextmanager
    def not_waiting(self) -> Iterator[None]:
        """Moves the deadline on, for uploads, which take the time they take, and for our own work."""
        left, self.deadline = self.deadline - time.monotonic(), math.inf
        try:
            yield
        finally:
            self.deadline = time.monotonic() + left


def connect() -> str:
    """Points MLflow to `MLFLOW_TRACKING_URI` or the SQLite file of the checkout, and returns which it is.

    Raises:
        StoreError: if it is no store that MLflow knows.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):  # a relative path starts at the checkout, whatever the current folder
        uri = f"{SQLITE}{project_root() / uri.removeprefix(SQLITE)}"
    # MLflow resolves a model's URI by its global setting, not by the client's: else in a store of the current folder.
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    except MlflowException as error:  # a folder, say
        raise StoreError(f"MLflow at {uri}: {one_line(error)}") from error
    return uri


def one_line(error: Exception) -> str:
    """What an error says, which for MLflow may be a page."""
    return " ".join(str(error).split())[:300]


def with_store(work: Callable[[Store], T], seconds: float) -> T:
    """What `work` returns for the opened store, which may keep us waiting for `seconds` in all.

    A lock, which dies with the process, keeps others of our processes out: MLflow's own tables don't stop two from
    making the same run. The work is done in a thread that is given up, not awaited, when the store takes too long.

    Raises:
        StoreError: if the store is out of reach, locked, too slow, refuses, or was moved.
    """
    uri = connect()
    lock = Path(tempfile.gettempdir()) / f"taqyryp-{os.getuid()}-{sha256(uri.encode())[:16]}.lock"
    if uri.startswith(SQLITE):
        lock = Path(f"{uri.removeprefix(SQLITE)}.lock")
    try:
        with FileLock(lock, timeout=WRITER_SECONDS), ThreadPool(1) as pool:
            store = Store(mlflow.MlflowClient(), "", time.monotonic() + seconds)
            outcome = pool.apply_async(lambda: work(_open(store, uri)))
            while not outcome.ready():
                if time.monotonic() > store.deadline:
                    raise StoreError(f"MLflow at {uri} has not answered within {seconds:g} s")
                outcome.wait(0.05)
            return outcome.get()
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"MLflow at {uri}: {one_line(error)}") from error


def local_artifacts(uri: str) -> str | None:
    """Where an SQLite store of ours keeps its artifacts (a file: URI); None for any other store."""
    return (Path(uri.removeprefix(SQLITE)).parent / "mlruns").as_uri() if uri.startswith(SQLITE) else None


def elsewhere(uri: str, location: str) -> StoreError:
    """What to say of an SQLite store whose artifacts lie outside its checkout."""
    return StoreError(
        f"MLflow at {uri}: its artifacts are at {location}, so the checkout was moved or "
        "copied; delete mlflow.db and mlruns, then run `taqyryp track --all-experiments`"
    )


def _open(store: Store, uri: str) -> Store:
    artifacts = local_artifacts(uri)
    if artifacts:
        database = Path(uri.removeprefix(SQLITE))
        with store.not_waiting():
            with closing(sqlite3.connect(database, timeout=LOCKED_SECONDS, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            store.client.get_experiment("0")  # makes a fresh store's tables, some seconds that are not its fault
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "taqyryp")
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None:
        # Without this tag the UI opens it as work on language models.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        experiment = store.client.get_experiment(store.client.create_experiment(name, artifacts, tags))
    if artifacts and experiment.artifact_location != artifacts:
        raise elsewhere(uri, experiment.artifact_location)
    store.experiment = experiment.experiment_id
    return store
