"""What the pipeline made -> MLflow, a ledger with exactly one run for each model and distinct result.

In reading order: `results` (what the files say of a result), `store` (which MLflow, and how long to wait for it),
`plots`, `requests` (what may be asked of a served model), `served` (the model as MLflow serves it), `logged` (a model
folder becomes a logged model), `runs` (a result becomes a run with its logged models), `registry` (versions, candidate
and champion), `history` (what git and DVC's cache still have), `ledger` (all of it, for a checkout or its history),
`stage` (the command, which costs no result). Nothing else imports MLflow.
"""

import os
from pathlib import Path

# These are read on import, so they stand here, before any module that imports MLflow. MLflow reports its use to its
# makers unless told not to, and asks an unreachable server for more than 100 s. Plots are drawn outside the main
# thread, where a backend with windows may fail.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MPLBACKEND": "Agg",
}.items():
    os.environ.setdefault(_name, _value)


def checkout() -> Path:
    """The nearest folder with a dvc.yaml, upwards from the current one, which it is itself if there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").is_file()), here)


def project_root() -> Path:
    """The checkout that a ledger belongs to: DVC's, also in its temporary copies, else the nearest."""
    return Path(os.environ.get("DVC_ROOT") or checkout())
