"""The ledger against real MLflow stores, with TF-IDF and two references: each result has one run, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.project import Project
from tests.server import ask, free_port, running

pytestmark = pytest.mark.slow

MODELS = ["majority", "rules", "tfidf"]
C = "configs/tfidf.yaml:C"


def without(value: Any, *gone: str) -> Any:
    """A part of dvc.yaml without the entries that name a model that is gone."""
    if isinstance(value, dict):
        return {key: without(v, *gone) for key, v in value.items() if key not in gone}
    if isinstance(value, list):
        kept = [v for v in value if not (isinstance(v, str) and any(name in v for name in gone))]
        return [without(v, *gone) for v in kept]
    if isinstance(value, str):
        for name in gone:
            value = value.replace(f"--model {name} ", "")
    return value


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline without encoder, run once; its store holds a run for each model."""
    project = Project.copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("spy"))
    graph = without(
        yaml.safe_load((project.folder / "dvc.yaml").read_text()), "transformer", "zeroshot", "compact", "export.json"
    )
    for stage in ("encoder", "export", "cascade"):  # without a transformer there is nothing for them
        del graph["stages"][stage]
    del graph["plots"]
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump(graph, allow_unicode=True, sort_keys=False, width=1000))
    project.replace("configs/pipeline.yaml", "candidate: transformer", "candidate: tfidf")
    project.replace("configs/pipeline.yaml", "transfer: true", "transfer: false")
    project.replace("configs/pipeline.yaml", "rules_as_teacher: true", "rules_as_teacher: false")
    project.commit()
    project.run("dvc", "repro")
    project.commit()
    return project


@pytest.fixture
def fresh(made: Project, tmp_path: Path) -> Iterator[Project]:
    """The project as it was after its first run, its store included."""
    for name in ("mlflow.db", "mlruns"):
        _copy(made.folder / name, tmp_path / name)
    yield made
    made.restore()
    _drop(made)
    for name in ("mlflow.db", "mlruns"):
        _copy(tmp_path / name, made.folder / name)
    for line in made.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines():
        made.run("git", "update-ref", "-d", line)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)  # as the links to the cache that they are
    else:
        shutil.copy(source, target)


def _drop(project: Project) -> None:
    """Deletes the store."""
    for path in project.folder.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(project.folder / "mlruns", ignore_errors=True)


def rows(store: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


def results(store: Path) -> list[tuple[str, str]]:
    """Model and result of every run that the UI lists; each has to be finished and complete."""
    found = rows(
        store,
        "select r.status, (select value from tags where run_uuid = r.run_uuid and key = 'complete'),"
        " (select value from tags where run_uuid = r.run_uuid and key = 'model'),"
        " (select value from tags where run_uuid = r.run_uuid and key = 'result')"
        " from runs r where r.lifecycle_stage = 'active'",
    )
    assert {row[:2] for row in found} == {("FINISHED", "true")}, found
    return sorted(row[2:] for row in found)


def once(project: Project, tfidf: int, store: Path | None = None) -> list[tuple[str, str]]:
    """The results, after a check that none has two runs and that there are so many of TF-IDF, each with its version."""
    store = store or project.folder / "mlflow.db"
    found = results(store)
    assert len(set(found)) == len(found), found
    assert Counter(model for model, _ in found) == {"majority": 1, "rules": 1, "tfidf": tfidf}
    versions = rows(
        store,
        "select t.value from model_version_tags t join model_versions v using (name, version)"
        " where t.key = 'result' and v.current_stage != 'Deleted_Internal'",
    )
    assert sorted(value for (value,) in versions) == sorted(key for model, key in found if model == "tfidf")
    ready = rows(store, "select count(*) from logged_models where lifecycle_stage = 'active'")
    assert ready == [(tfidf,)]
    return found


def tags(store: Path, key: str) -> list[str]:
    return [value for (value,) in rows(store, f"select value from tags where key = '{key}' order by value")]


def aliases(project: Project) -> dict[str, int]:
    return dict(rows(project.folder / "mlflow.db", "select alias, version from registered_model_aliases"))


# ---- one run a result ------------------------------------------------------------------------------------------------


def test_a_run_holds_what_there_is_to_know(made: Project) -> None:
    store = made.folder / "mlflow.db"
    once(made, tfidf=1)
    (run,) = [id_ for (id_,) in rows(store, "select run_uuid from runs where name like 'tfidf-%'")]
    params = dict(rows(store, f"select key, value from params where run_uuid = '{run}'"))
    assert params["C"] == "10"
    assert params["crossval.seeds"] == "[0]"
    assert params["labels"] == '["education","prevention","meritocracy","digitalisation"]'
    assert not [name for name in params if name.startswith(("names", "encoder", "epochs"))]
    metrics = dict(rows(store, f"select key, value from latest_metrics where run_uuid = '{run}'"))
    headline = json.loads((made.folder / "reports/metrics/tfidf.json").read_text())["tfidf"]
    measured = headline.pop("measured")
    assert headline.items() <= metrics.items()
    assert {
        "f1_kk/education",
        "f1_macro/kk",
        "precision/prevention",
        "ap/digitalisation",
        "f1_high/education",
    } <= metrics.keys()
    tagged = dict(rows(store, f"select key, value from tags where run_uuid = '{run}'"))
    assert (tagged["device"], tagged["precision"], tagged["measured"]) == ("cpu", "float64", measured)
    assert {"digest.data", "digest.stages", "digest.model", "git.commit", "git.dirty"} <= tagged.keys()
    assert rows(store, "select name, count(*) from datasets group by name") == [("gold", 1), ("labelled", 1)]
    linked = rows(
        store, "select count(*), count(distinct run_id) from logged_model_metrics where dataset_name = 'gold'"
    )
    assert linked == [(len(metrics), 1)]
    folder = made.folder / "mlruns" / run / "artifacts"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pictures = {f"plots/{name}.png" for name in ("precision_recall", "reliability", "themes", "confusion")}
    assert pictures | {"errors.csv", "scores.json", "scored.jsonl"} <= names
    every = {path.suffix for path in (made.folder / "mlruns").rglob("*") if path.is_file()}
    assert every <= {".csv", ".png", ".json", ".jsonl", ".md", ".py", ".safetensors", ".txt", ".yaml", ""}


def test_repeating_and_forcing_add_nothing(fresh: Project) -> None:
    before = once(fresh, tfidf=1)
    assert fresh.repro() == []
    assert "track" in fresh.repro("--force")
    fresh.run("taqyryp", "track")
    assert once(fresh, tfidf=1) == before


def test_a_parameter_changed_and_back_again_makes_one_run_more(fresh: Project) -> None:
    before = once(fresh, tfidf=1)
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 5")
    assert "track" in fresh.repro()
    both = once(fresh, tfidf=2)
    assert set(before) < set(both)
    fresh.replace("configs/tfidf.yaml", "C: 5", "C: 10")
    fresh.repro()
    assert once(fresh, tfidf=2) == both


def test_experiments_leave_a_run_each_and_a_lost_store_is_rebuilt(fresh: Project) -> None:
    """In the workspace, in a temporary copy, and three in a queue at once; then the store is deleted."""
    fresh.run("dvc", "exp", "run", "-n", "here", "-S", f"{C}=5")
    fresh.restore()
    fresh.run("dvc", "exp", "run", "--temp", "-n", "temporary", "-S", f"{C}=4")
    once(fresh, tfidf=3)
    fresh.run("dvc", "exp", "run", "--queue", "-S", f"{C}=1,2,3")
    run_queue(fresh)
    every = once(fresh, tfidf=6)
    store = fresh.folder / "mlflow.db"
    assert len(set(tags(store, "dvc.experiment"))) == 5
    assert {"here", "temporary"} < set(tags(store, "dvc.experiment"))
    values = rows(store, "select value from params where key = 'C'")
    assert sorted(float(value) for (value,) in values) == [1, 2, 3, 4, 5, 10]
    # What MLflow holds of the models are links to the files in DVC's cache.
    weights = list((fresh.folder / "mlruns/models").rglob("tfidf.safetensors"))
    assert len(weights) == 6
    cached = {path.stat().st_ino for path in (fresh.folder / ".dvc/cache").rglob("*") if path.is_file()}
    assert {path.stat().st_ino for path in weights} <= cached

    _drop(fresh)
    articles = ["env", "-C", "seeds/articles"]  # from any folder of the checkout
    fresh.run(*articles, "taqyryp", "track")
    assert len(once(fresh, tfidf=1)) == 3
    committed = int(fresh.run("git", "log", "-1", "--format=%ct", "--", "dvc.lock")) * 1000
    assert set(rows(store, "select start_time, end_time from runs")) == {(committed, committed)}
    printed = fresh.run(*articles, "taqyryp", "track", "--all-experiments")
    assert once(fresh, tfidf=6) == every, printed
    assert "DVC's cache lacks" not in printed
    assert set(tags(store, "dvc.experiment")) == set(tags(store, "dvc.experiment"))
    starts = [row for (row,) in rows(store, "select start_time from runs order by start_time")]
    assert starts[-1] <= time.time() * 1000
    assert fresh.run("git", "worktree", "list").count("\n") == 1


def run_queue(project: Project) -> None:
    """Two workers take what is queued. They are not waited for: DVC's own `--run-all` hangs when one fails to end."""
    options: dict[str, Any] = {"cwd": project.folder, "env": project.environment, "start_new_session": True}
    null = subprocess.DEVNULL
    workers = subprocess.Popen(["dvc", "queue", "start", "-j", "2"], stdin=null, stdout=null, stderr=null, **options)
    end = time.monotonic() + 1800  # in case a worker hangs; three experiments take ten minutes beside another pipeline
    while (listed := project.run("dvc", "queue", "status")).count("Success") < 3:
        assert "Failed" not in listed, listed
        assert time.monotonic() < end, listed
        time.sleep(2)
    workers.wait(timeout=60)
    subprocess.run(
        ["dvc", "queue", "stop", "--kill"], stdin=null, stdout=null, stderr=null, timeout=60, check=False, **options
    )


def test_a_fresh_clone_fills_a_store_of_its_own(made: Project, tmp_path: Path) -> None:
    made.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", made.spy)
    clone.run("dvc", "repro")
    assert once(clone, tfidf=1) == once(made, tfidf=1)
    assert clone.run("git", "status", "--porcelain") == ""


def test_a_killed_track_is_mended_by_the_next(fresh: Project) -> None:
    expected = once(fresh, tfidf=1)
    store = fresh.folder / "mlflow.db"
    moments = [
        "select 1 from runs",
        "select 1 from params where key = 'C'",
        "select 1 from logged_models",
        "select 1 from logged_model_metrics",
        "select 1 from tags where key = 'complete' and run_uuid in (select source_run_id from logged_models)",
        "select 1 from model_versions",
    ]
    for moment in moments:
        _drop(fresh)
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "track"],
            cwd=fresh.folder,
            env=fresh.environment,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            if _there(store, moment):
                process.send_signal(signal.SIGKILL)
                process.wait()
        assert process.returncode == -signal.SIGKILL, moment
        fresh.run("taqyryp", "track")
        assert once(fresh, tfidf=1) == expected, moment
        assert set(aliases(fresh)) == {"candidate", "champion"}


def _there(store: Path, query: str) -> bool:
    try:
        return store.exists() and bool(rows(store, query))
    except sqlite3.Error:  # no such table yet
        return False


def test_several_processes_on_a_fresh_store_make_one_run_each(fresh: Project) -> None:
    expected = once(fresh, tfidf=1)
    _drop(fresh)
    command = [sys.executable, "-m", "pipeline", "track"]
    several = [subprocess.Popen(command, cwd=fresh.folder, env=fresh.environment) for _ in range(4)]
    assert [process.wait(timeout=300) for process in several] == [0] * 4
    assert once(fresh, tfidf=1) == expected


# ---- what was lost is written again --------------------------------------------------------------------------------


def in_mlflow(project: Project, code: str) -> None:
    """Does to the store what someone does in the UI."""
    start = "import shutil, mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); client = mlflow.MlflowClient(); "
    start += "version = client.get_model_version('taqyryp', '1'); model = version.source.removeprefix('models:/'); "
    project.run(sys.executable, "-c", start + code)


def champion_is(project: Project, model: str) -> None:
    """Checks that the champion classifies, and as the model folder does."""
    for name, path in (("served", "models:/taqyryp@champion"), ("local", model)):
        project.run("taqyryp", "classify", "seeds/articles", "--model", path, "-o", f"{name}.jsonl")
    assert (project.folder / "served.jsonl").read_bytes() == (project.folder / "local.jsonl").read_bytes()


def test_a_purged_run_costs_no_candidate_and_its_version_moves_to_a_new_run(fresh: Project) -> None:
    expected = once(fresh, tfidf=1)
    in_mlflow(fresh, "client.delete_run(version.run_id)")
    store = "sqlite:///mlflow.db"
    fresh.run("mlflow", "gc", "--backend-store-uri", store, "--tracking-uri", store)
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 5")
    printed = fresh.run("dvc", "repro")
    assert "candidate version 2 can't be compared with version 1, which stays champion (Run with id" in printed
    assert "Traceback" not in printed
    assert aliases(fresh) == {"candidate": 2, "champion": 1}
    fresh.replace("configs/tfidf.yaml", "C: 5", "C: 10")
    assert "candidate version 2 is" in fresh.run("dvc", "repro")  # judged as soon as it can be
    assert aliases(fresh)["candidate"] == 2  # version 3 is new, its result is not
    assert set(expected) < set(once(fresh, tfidf=2))
    assert [number for (number,) in rows(fresh.folder / "mlflow.db", "select version from model_versions")] == [1, 2, 3]
    fresh.run("taqyryp", "promote", "3")
    champion_is(fresh, "models/tfidf")


@pytest.mark.parametrize(
    "loss",
    [
        "client.delete_run(version.run_id)",
        "client.delete_logged_model(model)",
        "client.delete_model_version('taqyryp', '1')",
        "shutil.rmtree(f'mlruns/models/{model}')",
        "[path.unlink() for path in __import__('pathlib').Path('mlruns/models').rglob('*.safetensors')]",
        "shutil.rmtree('mlruns')",
    ],
)
def test_what_was_lost_is_written_again(loss: str, fresh: Project) -> None:
    expected = once(fresh, tfidf=1)
    in_mlflow(fresh, loss)
    printed = fresh.run("taqyryp", "track")
    assert once(fresh, tfidf=1) == expected, printed
    assert aliases(fresh) == {"candidate": 2, "champion": 2}
    champion_is(fresh, "models/tfidf")
    before = rows(fresh.folder / "mlflow.db", "select run_uuid from runs")
    fresh.run("taqyryp", "track")
    assert rows(fresh.folder / "mlflow.db", "select run_uuid from runs") == before


def test_another_experiment_has_runs_of_its_own_and_leaves_versions_alone(
    fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fresh.environment, "MLFLOW_EXPERIMENT_NAME", "other")
    fresh.run("taqyryp", "track")
    assert rows(fresh.folder / "mlflow.db", "select count(*) from runs where lifecycle_stage = 'active'") == [(6,)]
    assert rows(fresh.folder / "mlflow.db", "select version, current_stage from model_versions") == [(1, "None")]


# ---- other stores, and stores in trouble -----------------------------------------------------------------------------


def test_a_server_is_a_store_like_any_other(fresh: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = once(fresh, tfidf=1)
    uri = f"http://127.0.0.1:{free_port()}"
    store = tmp_path / "server.db"
    server = ["mlflow", "server", "--port", uri.rpartition(":")[2], "--workers", "1"]
    server += ["--backend-store-uri", f"sqlite:///{store}", "--artifacts-destination", str(tmp_path / "kept")]
    with running(server, f"{uri}/health", tmp_path):
        monkeypatch.setitem(fresh.environment, "MLFLOW_TRACKING_URI", uri)
        fresh.run("taqyryp", "track")
        fresh.run("taqyryp", "track")
        assert once(fresh, tfidf=1, store=store) == expected
        champion_is(fresh, "models/tfidf")
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.suffix in (".pkl", ".pickle")]


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def slow_server() -> Iterator[str]:
    """A server that answers everything with an error, after three seconds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                time.sleep(3)
                with connection:
                    connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def absent_server() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("server", [absent_server, silent_server, slow_server])
def test_a_store_in_trouble_costs_no_result(
    server: Callable[[], Any], fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 6")
    fresh.repro("compare")
    with server() as uri:
        monkeypatch.setitem(fresh.environment, "MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        printed = fresh.run("dvc", "repro")
        took = time.monotonic() - start
        assert "Nothing is lost. Once MLflow answers, run `taqyryp track`" in printed
        assert "Traceback" not in printed
        assert took < 30, printed  # 6 s of patience, DVC and imports; MLflow alone would try for more than 100 s
        assert uri in fresh.run("taqyryp", "track", fails=True)
    monkeypatch.delitem(fresh.environment, "MLFLOW_TRACKING_URI")
    fresh.run("taqyryp", "track")
    once(fresh, tfidf=2)


def test_a_locked_store_costs_no_result(fresh: Project) -> None:
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 6")
    with closing(sqlite3.connect(fresh.folder / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        printed = fresh.run("dvc", "repro")
    assert "database is locked" in printed
    assert "Nothing is lost" in printed
    once(fresh, tfidf=1)
    fresh.run("taqyryp", "track")
    once(fresh, tfidf=2)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MLFLOW_TRACKING_URI", "./mlruns", "taqyryp: MLflow at ./mlruns: "),
        ("MLFLOW_TRACKING_URI", "foo://store", "taqyryp: MLflow at foo://store: "),
        ("MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db", "taqyryp: MLflow at sqlite:////dev/null/mlflow.db: "),
        ("MLFLOW_LOGGING_LEVEL", "LOUD", "Traceback"),  # MLflow fails on import
        ("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "Whirlpool", "Traceback"),
    ],
)
def test_no_variable_costs_a_result(
    variable: str, value: str, said: str, fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = ["python", "-m", "pipeline", "track", "--receipt", "told.json"]
    with monkeypatch.context() as patch:
        patch.setitem(fresh.environment, variable, value)
        printed = fresh.run(*stage)
        assert said in printed
        assert ("Traceback" in printed) == (said == "Traceback")
        assert "Nothing is lost. Once MLflow answers, run `taqyryp track`" in printed
        assert said in fresh.run("taqyryp", "track", fails=True)
    told = json.loads((fresh.folder / "told.json").read_text())
    assert told.pop("error")
    assert told in ({}, dict.fromkeys(MODELS, "not handed over"))
    fresh.run(*stage)
    assert json.loads((fresh.folder / "told.json").read_text()) == dict(once(fresh, tfidf=1))


def test_what_is_wrong_with_the_files_costs_no_experiment_either(fresh: Project) -> None:
    fresh.replace("configs/pipeline.yaml", "patience: 6", "patience: 0")
    printed = fresh.run("dvc", "repro")
    assert "Nothing is lost" in printed
    told = json.loads((fresh.folder / "data/tracked.json").read_text())
    assert "patience" in told.pop("error")
    assert told == dict.fromkeys(MODELS, "not handed over")
    assert "patience" in fresh.run("taqyryp", "track", fails=True)


def test_a_copied_checkout_does_not_read_the_models_of_the_original(fresh: Project, tmp_path: Path) -> None:
    copy = Project(tmp_path / "copy", fresh.spy)
    shutil.copytree(fresh.folder, copy.folder, ignore=shutil.ignore_patterns("cache"))
    for uri in ("models:/taqyryp@champion", "models:/taqyryp/1"):
        printed = copy.run("taqyryp", "classify", "seeds/articles", "--model", uri, "-o", "-", fails=True)
        assert f"its artifacts are at {(fresh.folder / 'mlruns').as_uri()}/models/m-" in printed
        assert "so the checkout was moved or copied; delete mlflow.db and mlruns, then run" in printed
    (copy.folder / "mlflow.db").unlink()
    printed = copy.run("taqyryp", "classify", "seeds/articles", "--model", "models:/taqyryp/1", "-o", "-", fails=True)
    assert "there is no MLflow store yet" in printed
    assert not (copy.folder / "mlflow.db").exists()


def test_a_model_is_read_without_writing_and_without_a_home(fresh: Project) -> None:
    store = ("mlflow.db*", "mlruns", "mlruns/**/*")
    before = {path: path.stat().st_mtime_ns for name in store for path in fresh.folder.glob(name)}
    environment = {"PATH": fresh.environment["PATH"]}
    command = [sys.executable, "-m", "pipeline", "classify", "seeds/articles", "--model", "models:/taqyryp@champion"]
    subprocess.run([*command, "-o", "-"], cwd=fresh.folder, env=environment, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for name in store for path in fresh.folder.glob(name)} == before


def test_a_store_of_another_place_is_refused(fresh: Project) -> None:
    with closing(sqlite3.connect(fresh.folder / "mlflow.db")) as connection:
        connection.execute(
            "update experiments set artifact_location = 'file:///elsewhere/mlruns' where experiment_id > 0"
        )
        connection.commit()
    printed = fresh.run("taqyryp", "track", fails=True)
    assert "its artifacts are at file:///elsewhere/mlruns, so the checkout was moved or copied" in printed


def test_files_that_dvc_lock_does_not_know_are_refused(fresh: Project) -> None:
    with (fresh.folder / "dvc.lock").open() as file:
        text = file.read()
    (fresh.folder / "dvc.lock").write_text(
        text.replace(
            "data/scored/tfidf.jsonl\n      hash: md5\n      md5: ",
            "data/scored/tfidf.jsonl\n      hash: md5\n      md5: 0",
        )
    )
    assert "data/scored/tfidf.jsonl: not what dvc.lock says was made" in fresh.run("taqyryp", "track", fails=True)
    (fresh.folder / "dvc.lock").unlink()
    assert "dvc.lock: missing" in fresh.run("taqyryp", "track", fails=True)


# ---- the registry ----------------------------------------------------------------------------------------------------


def test_the_champion_moves_only_for_a_reason(fresh: Project) -> None:
    assert aliases(fresh) == {"candidate": 1, "champion": 1}
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 9")
    fresh.repro()  # hardly another model: within noise
    assert aliases(fresh) == {"candidate": 2, "champion": 1}
    fresh.run("taqyryp", "promote", "2")
    assert aliases(fresh) == {"candidate": 2, "champion": 2}
    fresh.replace("configs/tfidf.yaml", "C: 9", "C: 0.0001")
    fresh.repro()
    assert aliases(fresh) == {"candidate": 3, "champion": 2}
    assert "version 7 is not one of 1, 2, 3" in fresh.run("taqyryp", "promote", "7", fails=True)
    # A rebuilt store honours the choice as soon as the chosen result is in it again.
    fresh.replace("configs/tfidf.yaml", "C: 0.0001", "C: 10")
    fresh.repro()
    _drop(fresh)
    fresh.run("taqyryp", "track")
    assert aliases(fresh) == {"candidate": 1, "champion": 1}
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 9")
    fresh.repro()
    assert aliases(fresh) == {"candidate": 2, "champion": 2}


def test_a_champion_set_in_mlflow_stays_until_someone_promotes_another(fresh: Project) -> None:
    fresh.replace("configs/pipeline.yaml", "level: 0.9", "level: 0.5")  # at .9 five articles tell no two TF-IDFs apart
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 0.0001")
    fresh.repro()
    assert aliases(fresh) == {"candidate": 2, "champion": 1}
    in_mlflow(fresh, "client.set_registered_model_alias('taqyryp', 'champion', '2')")
    assert "(version 2), where someone set it in MLflow" in fresh.run("taqyryp", "track")
    fresh.replace("configs/tfidf.yaml", "C: 0.0001", "C: 9")
    printed = fresh.run("dvc", "repro")
    said = "candidate version 3 is better: champion stays version 2, where someone set it in MLflow"
    assert f"{said}; `taqyryp promote 3` moves it" in printed
    assert aliases(fresh) == {"candidate": 3, "champion": 2}
    # The rule holds for a version that takes the place of one whose run was lost, and where the alias is set again.
    in_mlflow(fresh, "client.delete_run(client.get_model_version('taqyryp', '3').run_id)")
    in_mlflow(fresh, "client.set_registered_model_alias('taqyryp', 'champion', '1')")
    assert "(version 1), where someone set it in MLflow" in fresh.run("taqyryp", "track")
    assert aliases(fresh) == {"candidate": 4, "champion": 1}
    fresh.run("taqyryp", "promote", "4")
    printed = fresh.run("taqyryp", "track")
    assert "(version 4)" in printed
    assert "in MLflow" not in printed


def test_the_link_that_make_ui_prints_shows_headline_figures(made: Project) -> None:
    store = made.folder / "mlflow.db"
    ((number, view),) = rows(store, "select experiment_id, value from experiment_tags where key like '%.headlines'")
    figures = ["f1_macro", "f1_macro_low", "f1_macro_high", "ap_macro", "f1_macro/kk", "f1_macro/ru"]
    assert json.loads(view)["selectedColumns"] == [*(f"metrics.`{name}`" for name in figures), "attributes.`Models`"]
    metrics = {name for (name,) in rows(store, "select distinct key from metrics")}
    assert set(figures) <= metrics
    printed = subprocess.run(["make", "-n", "ui"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey=headlines" in printed
    # MLflow promises none of these names: its pages have to know them still.
    (place,) = find_spec("mlflow").submodule_search_locations
    known = "".join(path.read_text() for path in Path(place, "server/js/build/static/js").glob("*.js"))
    for name in ("mlflow.sharedViewState.", "viewStateShareKey", "workflowType", "selectedColumns", "orderByKey"):
        assert f'"{name}"' in known


def test_a_model_that_is_not_there_is_a_clear_error(fresh: Project) -> None:
    for uri in ("models:/taqyryp@nobody", "models:/taqyryp/99", "runs:/0123/model"):
        printed = fresh.run("taqyryp", "classify", "seeds/articles", "--model", uri, "-o", "-", fails=True)
        assert uri in printed
        assert "Traceback" not in printed


# ---- the served model ------------------------------------------------------------------------------------------------

TEXTS = [
    "В школах и вузах внедряются программы «Адал ұрпақ», студенты слушают лекции.",
    "Мемлекеттік қызметке орналасқысы келетіндер ашық конкурстан өтеді.",
]


def test_mlflow_serves_what_classify_says(fresh: Project, tmp_path: Path) -> None:
    (fresh.folder / "texts.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "text": t}) + "\n" for n, t in enumerate(TEXTS))
    )
    model = "models:/taqyryp@champion"
    printed = fresh.run("taqyryp", "classify", "texts.jsonl", "--unit", "paragraph", "--model", model, "-o", "-")
    wanted = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    fields = ("id", "themes", "undecided", "scores", "status")
    expected = [{name: row[name] for name in fields} for row in wanted]
    bare = [{name: row[name] for name in fields[1:]} for row in wanted]
    url = f"http://127.0.0.1:{free_port()}"
    command = ["mlflow", "models", "serve", "-m", model, "-p", url.rpartition(":")[2], "--env-manager", "local"]
    with running(command, f"{url}/ping", fresh.folder):
        records = [{"id": str(n), "text": text} for n, text in enumerate(TEXTS)]
        assert ask(url, json.dumps({"inputs": {"text": TEXTS}})) == (200, bare)
        assert ask(url, json.dumps({"inputs": records})) == (200, expected)
        assert ask(url, json.dumps({"dataframe_records": records})) == (200, expected)
        table = "id,text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS))
        assert ask(url, table, "text/csv") == (200, expected)
        status, (first, _) = ask(url, json.dumps({"inputs": {"text": TEXTS}, "params": {"threshold": 0.0, "top_k": 2}}))
        assert (status, len(first["themes"])) == (200, 2)
    (fresh.folder / "in.json").write_text(json.dumps({"inputs": records}))
    arguments = ["-m", model, "-i", "in.json", "-t", "json", "-o", "out.json", "--env-manager", "local"]
    fresh.run("mlflow", "models", "predict", *arguments)
    assert json.loads((fresh.folder / "out.json").read_text())["predictions"] == expected
