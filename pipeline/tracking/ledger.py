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
from pipeline.core.io import Say
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.tracking import registry
from pipeline.tracking.results import ResultPaths, TrackedResult, read_results
from pipeline.tracking.runs import link_cached, log_result
from pipeline.tracking.store import Store, project_root, with_store


def track_files(paths: ResultPaths, settings: Path, choice: Path, say: Say, told: dict[str, str] | None) -> None:
    """The results of this checkout. In a stage `told` is given, and gets each model's key once MLflow has it.

    Raises:
        UserError: if the files hold no results, or dvc.lock does not know them.
        StoreError: if MLflow can't be reached, refuses or keeps us waiting, in a stage for as long as settings say.
    """
    results = read_results(paths._replace(tags=_origin(paths.lock.parent)))
    if told is not None:
        told |= {result.model: "not handed over" for result in results}
    _track(results, settings, choice, say, told)


def track_history(settings: Path, choice: Path, say: Say) -> None:
    """The results of every commit and experiment, oldest first, as versions are numbered; says why one is skipped."""
    for paths in _history(project_root()):
        name = paths.tags.get("dvc.experiment", paths.tags["git.commit"][:10])
        try:
            results = read_results(paths)
        except (UserError, OSError) as error:  # the cache lacks some of its files
            say(f"{name}: skipped, {str(error).replace(f'{paths.lock.parent}/', '')}")
        else:
            say(f"{name}:")
            _track(results, settings, choice, say)


def _track(
    results: Sequence[TrackedResult], settings: Path, choice: Path, say: Say, told: dict[str, str] | None = None
) -> None:
    """Sees to it that each result has its run and its version, and moves the aliases."""
    tracking = load_section(settings, "tracking", registry.TrackingSettings)
    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    chosen = load_settings(choice, registry.ChampionChoice) if choice.is_file() else None

    def work(store: Store) -> None:
        for result in results:
            run, new = log_result(store, result)
            version = registry.register_version(store, result, run)
            where = f"version {version.version}" if version else "no model to register"
            if told is not None:
                told[result.model] = result.key
            say(f"{result.name}: {'new run' if new else 'has its run'} {run.info.run_id}, {where}")
        say(registry.move_aliases(store, tracking.candidate, chosen, evaluation))

    with_store(work, registry.BY_HAND_SECONDS * len(results) if told is None else tracking.patience)


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
