"""The command `track`, which as the last stage of the pipeline never fails: DVC would throw the experiment away."""

from __future__ import annotations

import traceback
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.io import Say, write_json
from pipeline.tracking.results import ResultPaths


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
    """This checkout's results into MLflow, or those of every commit and experiment.

    With a `receipt` this is a stage: whatever goes wrong is told on stderr and in the receipt, which has each model's
    key, or that it was not handed over, and the error.

    Raises:
        UserError: without a receipt, if the files hold no results that dvc.lock knows, or MLflow is in trouble.
    """
    told: dict[str, str] = {}
    try:
        # MLflow reads variables on import, and one may be wrong.
        from pipeline.tracking.ledger import track_files, track_history

        if all_experiments:
            track_history(settings, choice, say)
        else:
            track_files(ResultPaths(lock, data, reports, models), settings, choice, say, told if receipt else None)
    except Exception as error:
        if receipt is None:
            raise
        if not isinstance(error, UserError):
            traceback.print_exc()
        told["error"] = f"{type(error).__name__}: {error}"
        say(
            f"taqyryp: {error}\nNothing is lost. Once MLflow answers, run `taqyryp track`; "
            "after experiments, `taqyryp track --all-experiments`."
        )
    if receipt is not None:
        write_json(receipt, told)
