"""Which MLflow holds the ledger, one writer at a time, and how long a result may wait for it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.errors import UserError
from pipeline.core.io import sha256

T = TypeVar("T")
EXPERIMENT = "taqyryp"
STORE_KIND = "mlflow.experimentKind"
"""Tag that makes MLflow's UI open the experiment as model training, not as work on language models."""
SQLITE = "sqlite:///"
LOCK_SECONDS = 120
"""Others of our own processes may write a run each before it is our turn; one that hangs gives up by itself."""
LOCKED_SECONDS = 4
"""How long a foreign lock on an SQLite store is waited for."""


OUR_MISTAKES = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}
"""What MLflow answers to a wrong question: a bug here, which is not to pass for trouble of the store."""


class StoreError(UserError):
    """MLflow can't be reached, is too slow or refuses: nothing is lost, the result can be tracked later."""


@dataclass(frozen=True)
class Store:
    """An opened MLflow: its client, where it is, the experiment and the local artifact folder, None if it has none."""

    client: Any
    uri: str
    experiment: str
    artifacts: Path | None


def project_root() -> Path:
    """The checkout that a ledger belongs to: DVC's, also in its temporary copies, else that of the nearest dvc.yaml."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").is_file()), here)


def tracking_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or the SQLite file of the checkout; a relative SQLite path starts at the checkout, too."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return f"{SQLITE}{root / uri.removeprefix(SQLITE)}" if uri.startswith(SQLITE) else uri


def with_store(root: Path, work: Callable[[Store], T], seconds: float) -> T:
    """What `work` returns for the opened store, with no other of our processes in it.

    Uploads take the time they take; all that the store is asked besides may take `seconds` together.

    Raises:
        StoreError: if the store is out of reach, locked, too slow, or was moved.
    """
    uri, meter = tracking_uri(root), UploadMeter(seconds)
    try:
        with _one_writer(uri):
            return _watched(lambda: work(_open(uri, meter)), meter)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if getattr(error, "error_code", None) in OUR_MISTAKES:
            raise
        raise StoreError(f"MLflow at {uri}: {' '.join(str(error).split())[:300]}") from error


@contextmanager
def _one_writer(uri: str) -> Iterator[None]:
    """Holds a lock that dies with the process: MLflow's own tables don't stop two from making the same run."""
    here = uri.startswith(SQLITE)
    place = Path(f"{uri.removeprefix(SQLITE)}.lock") if here else _shared_lock(uri)
    with place.open("w") as file:
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StoreError(f"MLflow at {uri}: another process has held {place} for long") from None
                time.sleep(0.1)
        yield


def _shared_lock(uri: str) -> Path:
    return Path(tempfile.gettempdir()) / f"taqyryp-{os.getuid()}-{sha256(uri.encode())[:16]}.lock"


def _open(uri: str, meter: UploadMeter) -> Store:
    database = Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None
    if database:
        _refuse_foreign_lock(database)
    # MLflow resolves a model's URI by its global setting, not by the client's: else in a store of the current folder.
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    if database:
        client.get_experiment("0")  # makes a fresh store's tables, some seconds that are not the store's fault
    patient = Patient(client, meter)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    artifacts = database.parent / "mlruns" if database else None
    experiment = patient.get_experiment_by_name(name)
    if experiment is None:
        location = artifacts.as_uri() if artifacts else None
        made = patient.create_experiment(
            name, artifact_location=location, tags={STORE_KIND: "custom_model_development"}
        )
        return Store(patient, uri, made, artifacts)
    if experiment.lifecycle_stage != "active":
        raise StoreError(f"MLflow at {uri}: experiment {name!r} is deleted; restore it, or purge it with `mlflow gc`")
    if artifacts and experiment.artifact_location != artifacts.as_uri():
        raise StoreError(
            f"MLflow at {uri}: its artifacts are at {experiment.artifact_location}, so the checkout was moved or "
            "copied; delete mlflow.db and mlruns, then run `taqyryp track --all-experiments`"
        )
    return Store(patient, uri, experiment.experiment_id, artifacts)


def _refuse_foreign_lock(path: Path) -> None:
    """Raises if someone else keeps the database locked: MLflow itself would wait 20 s at each step."""
    try:
        with closing(sqlite3.connect(path, timeout=LOCKED_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreError(f"MLflow at {SQLITE}{path}: {error}") from error


# ---- patience --------------------------------------------------------------------------------------------------------

UPLOADS = {"log_artifacts", "log_artifact", "log_model_artifacts"}


class UploadMeter:
    """How long a store has kept us waiting; `limit` in seconds."""

    def __init__(self, limit: float) -> None:
        self.limit, self._total, self._since = limit, 0.0, 0.0

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._total, self._since = self._total + time.monotonic() - self._since, 0.0

    @property
    def over(self) -> bool:
        """Whether the waiting, of which some may be going on, is over the limit."""
        since = self._since
        return self._total + (time.monotonic() - since if since else 0.0) > self.limit


class Patient:
    """A client whose questions run the meter, uploads apart."""

    def __init__(self, client: MlflowClient, meter: UploadMeter) -> None:
        self._client, self._meter = client, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in UPLOADS or not callable(found):
            return found

        def ask(*arguments: Any, **options: Any) -> Any:
            with self._meter:
                return found(*arguments, **options)

        return ask


def _watched(work: Callable[[], T], meter: UploadMeter) -> T:
    """Runs `work` in a thread that is given up, not awaited, once the meter is over its limit."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as error:  # noqa: BLE001  # carried over to the caller's thread, where it is raised
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        if thread.is_alive() and meter.over:
            raise StoreError(f"MLflow has not answered within {meter.limit:g} s")
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value
