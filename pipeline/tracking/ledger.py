"""Results into MLflow: those of the files here, or of every commit and experiment whose files DVC's cache holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import check_output

from tqdm import tqdm

from pipeline.core.errors import UserError
from pipeline.core.io import Say
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.tracking import history, project_root, registry
from pipeline.tracking.results import ResultPaths, TrackedResult, read_result, read_results
from pipeline.tracking.runs import log_result, share_view
from pipeline.tracking.store import Store, with_store


def track_files(paths: ResultPaths, settings: Path, choice: Path, say: Say, told: dict[str, str] | None) -> None:
    """The results of this checkout. In a stage `told` is given, and gets each model's key once MLflow has it.

    Raises:
        UserError: if the files hold no results, or dvc.lock does not know them.
        StoreError: if MLflow can't be reached, refuses or keeps us waiting, in a stage for as long as settings say.
    """
    folder = paths.lock.parent
    results = read_results(paths._replace(committed=history.first_commits(folder), tags=_origin(folder)))
    if told is not None:
        told |= {result.model: "not handed over" for result in results}
    _track(results, settings, choice, say, told)


def track_history(settings: Path, choice: Path, say: Say) -> None:
    """The results of every commit and experiment, oldest first, as versions are numbered; says why one is left out.

    The cache is asked first what it holds. What several commits have is read once.
    """
    root = project_root()
    cache = history.find_cache(root)
    planned = history.plan_restoring(history.read_history(root), cache, say)

    def tell(line: str) -> None:
        with tqdm.external_write_mode():  # above the bar
            say(line)

    for version, models in tqdm(planned, unit="commit", disable=None):
        with history.restored(version, models, root, cache) as paths:
            tell(f"{version.name}:")
            _track(_readable(paths, version, models, tell), settings, choice, tell)


def _readable(paths: ResultPaths, version: history.Version, models: Sequence[str], say: Say) -> list[TrackedResult]:
    results = []
    for model in models:
        try:
            results.append(read_result(model, paths, version.stages)._replace(made=version.made))
        except (UserError, OSError) as error:  # made by an older version of the project
            say(f"{model}: left out, {str(error).replace(f'{paths.lock.parent}/', '')}")
    return results


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
        if results:
            share_view(store, results[-1].metrics)
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
