"""Results into MLflow: those of the files here, or of every commit and experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.io import write_json
from pipeline.core.settings import load_section
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.tracking.history import State, checked_out, states
from pipeline.tracking.registry import (
    ChampionChoice,
    TrackingSettings,
    move_aliases,
    read_champion_choice,
    register_version,
)
from pipeline.tracking.results import ResultPaths, TrackedResult, read_results
from pipeline.tracking.runs import log_result
from pipeline.tracking.store import Store, StoreError, project_root, with_store

Say = Callable[[str], None]
BY_HAND_SECONDS = 60
"""What someone who calls `taqyryp track` may wait for each result."""


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
    """The stage `track`, or the command of that name: see its help. With a `receipt` an absent MLflow is a warning.

    Raises:
        StoreError: if MLflow can't be reached and nobody asked for a receipt.
        UserError: if a file is missing or broken.
    """
    if all_experiments:
        track_all(settings, choice, say)
        return
    results = read_results(ResultPaths(lock, data, reports, models))
    try:
        track_results(results, settings, read_champion_choice(choice), say, hurry=receipt is not None)
    except StoreError as error:
        if receipt is None:
            raise
        say(
            f"taqyryp: {error}\nNothing is lost. Once MLflow answers, run `taqyryp track`; "
            "after experiments, `taqyryp track --all-experiments`."
        )
    if receipt is not None:
        write_json(receipt, {result.model: result.key for result in results})


def track_results(
    results: Sequence[TrackedResult],
    settings: Path,
    choice: ChampionChoice | None,
    say: Say,
    hurry: bool = False,
    made: int | None = None,
) -> None:
    """Sees to it that each result has its run and its version, and moves the aliases.

    In a `hurry` no more than the configured patience is spent on waiting. `made` is when the results were made (ms).

    Raises:
        StoreError: if MLflow can't be reached or keeps us waiting.
    """
    tracking = load_section(settings, "tracking", TrackingSettings)
    evaluation = load_section(settings, "evaluation", EvaluationSettings)

    def work(store: Store) -> None:
        for result in results:
            run, new = log_result(store, result, made)
            version = register_version(store, result, run)
            where = f"version {version.version}" if version else "no model to register"
            say(f"{result.name}: {'new run' if new else 'has its run'} {run.info.run_id}, {where}")
        say(move_aliases(store, tracking.candidate, choice, evaluation))

    with_store(project_root(), work, tracking.patience if hurry else BY_HAND_SECONDS * len(results))


def track_all(settings: Path, choice: Path, say: Say) -> None:
    """Tracks what every commit and experiment made, oldest first; says of each that is skipped why."""
    root = project_root()
    for state in states(root):
        name = state.experiment or state.commit[:10]
        with checked_out(root, state) as folder:
            try:
                results = [_from(state, result) for result in read_results(ResultPaths.below(folder))]
            except UserError as error:
                say(f"{name}: skipped, {str(error).replace(f'{folder}/', '')}")
                continue
            say(f"{name}:")
            track_results(results, settings, read_champion_choice(choice), say, made=state.made)


def _from(state: State, result: TrackedResult) -> TrackedResult:
    """The result with the origin that git and DVC know, not that of the temporary checkout."""
    tags = {**result.tags, "git.commit": state.baseline or state.commit, "git.dirty": "false"}
    if state.experiment:
        tags |= {"dvc.experiment": state.experiment, "dvc.baseline": state.baseline, "git.dirty": "true"}
    return replace(result, tags=tags)
