"""Results into MLflow: those of the files here, or of every commit and experiment whose files DVC's cache holds."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import check_call, check_output

import yaml

from pipeline.core.errors import UserError
from pipeline.core.io import Say, write_json
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.tracking import registry
from pipeline.tracking.results import ResultPaths, TrackedResult, read_results
from pipeline.tracking.runs import link_cached, log_result
from pipeline.tracking.store import Store, StoreError, project_root, with_store


def run_track(
    lock: Path,
    data: Path,
    reports: Path,
    models: Path,
    choice: Path,
    settings: Path,
    all_experiments: bool,
    receipt: Path | None,
    say: Say,
) -> None:
    """The command `track`: this checkout's results, or those of every commit and experiment.

    With a `receipt`, where a stage leaves the results' keys (JSON), MLflow is waited for no longer than the settings
    say, and MLflow in trouble is no error: DVC throws away an experiment whose last stage fails.

    Raises:
        UserError: if the files hold no results, or dvc.lock does not know them.
        StoreError: if MLflow can't be reached or keeps us waiting, and there is no receipt to leave.
    """
    if all_experiments:
        _track_history(settings, choice, say)
        return
    results = read_results(ResultPaths(lock, data, reports, models, tags=_origin(lock.parent)))
    try:
        _track(results, settings, choice, say, in_stage=receipt is not None)
    except StoreError as error:
        if receipt is None:
            raise
        say(
            f"taqyryp: {error}\nNothing is lost. Once MLflow answers, run `taqyryp track`; "
            "after experiments, `taqyryp track --all-experiments`."
        )
    if receipt is not None:
        write_json(receipt, {result.model: result.key for result in results})


def _track_history(settings: Path, choice: Path, say: Say) -> None:
    """Oldest first, so that versions are numbered in the order of their making; says of each that is skipped why."""
    for paths in _history(project_root()):
        name = paths.tags.get("dvc.experiment", paths.tags["git.commit"][:10])
        try:
            results = read_results(paths)
        except (UserError, OSError) as error:  # the cache lacks some of its files
            say(f"{name}: skipped, {str(error).replace(f'{paths.lock.parent}/', '')}")
        else:
            say(f"{name}:")
            _track(results, settings, choice, say)


def _track(results: Sequence[TrackedResult], settings: Path, choice: Path, say: Say, in_stage: bool = False) -> None:
    """Sees to it that each result has its run and its version, and moves the aliases."""
    tracking = load_section(settings, "tracking", registry.TrackingSettings)
    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    chosen = load_settings(choice, registry.ChampionChoice) if choice.is_file() else None

    def work(store: Store) -> None:
        for result in results:
            run, new = log_result(store, result)
            version = registry.register_version(store, result, run)
            where = f"version {version.version}" if version else "no model to register"
            say(f"{result.name}: {'new run' if new else 'has its run'} {run.info.run_id}, {where}")
        say(registry.move_aliases(store, tracking.candidate, chosen, evaluation))

    with_store(work, tracking.patience if in_stage else registry.BY_HAND_SECONDS * len(results))


def _origin(folder: Path) -> dict[str, str]:
    """Tags: the commit of a checkout, whether more than results differs from it, DVC's experiment if one is running."""
    variables = {"dvc.experiment": "DVC_EXP_NAME", "dvc.baseline": "DVC_EXP_BASELINE_REV"}
    tags = {tag: os.environ[name] for tag, name in variables.items() if name in os.environ}
    if (folder / ".git").exists():
        status = ["git", "status", "--porcelain=v2", "--branch", "--", ".", ":!dvc.lock", ":!reports"]
        head, *lines = check_output(status, cwd=folder, text=True).splitlines()
        # First comes "# branch.oid <commit>", then other lines on the branch, then one for each change.
        tags |= {"git.commit": head.split()[2], "git.dirty": str(any(line[0] != "#" for line in lines)).lower()}
    return tags


def _history(root: Path) -> Iterator[ResultPaths]:
    """Every commit and experiment that changed dvc.lock, oldest first, in a folder that is there until the next."""
    log = ["git", "log", "--reverse", "--format=%H %ct %D", "--decorate=full", "--decorate-refs=refs/exps/"]
    log += ["--branches", "--tags", "--remotes", "--glob=refs/exps/??/*", "--", "dvc.lock"]
    cache = root / check_output(["dvc", "cache", "dir"], cwd=root, text=True).strip()
    place = root / ".dvc" / "tmp"  # on the file system of the cache, so that files are linked
    place.mkdir(exist_ok=True)
    for line in check_output(log, cwd=root, text=True).splitlines():
        commit, seconds = line.split()[:2]
        tags = {"git.commit": commit, "git.dirty": "false"}
        # DVC names an experiment by the commit that it started from, in two parts, and by its own name.
        if experiment := re.search(r"refs/exps/(..)/([^/]+)/([^/,]+)", line):
            start, end, name = experiment.groups()
            tags = {"git.commit": start + end, "git.dirty": "true", "dvc.experiment": name, "dvc.baseline": start + end}
        with tempfile.TemporaryDirectory(dir=place) as temporary:
            folder = Path(temporary)
            check_call(["git", "archive", "-o", f"{folder}/archive.tar", commit], cwd=root)
            shutil.unpack_archive(f"{folder}/archive.tar", folder)
            lock = folder / "dvc.lock"
            stages = yaml.safe_load(lock.read_bytes())["stages"] if lock.is_file() else {}
            for out in (out for stage in stages.values() for out in stage.get("outs", [])):
                link_cached(cache, out["md5"], folder / out["path"])
            yield ResultPaths(lock, folder / "data", folder / "reports", folder / "models", int(seconds) * 1000, tags)
