"""A model folder -> a logged model: the folder, the code that serves it, and the packages which that needs."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model

from pipeline.tracking import project_root
from pipeline.tracking.history import link_cached
from pipeline.tracking.requests import EXAMPLE, SIGNATURE
from pipeline.tracking.results import ModelFolder, TrackedResult
from pipeline.tracking.store import Store

RESULT = "result"  # a tag: the result's key
COMMON = "mlflow-skinny msgspec numpy pandas py3langid pyyaml safetensors scipy"
PACKAGES = {"compact": "openvino tokenizers", "transformer": "tokenizers torch tqdm transformers"}
"""What a served model imports beside the common ones. MLflow would find out by loading it, which takes seconds a run,
and name all of itself: mlflow-skinny serves as well, without scikit-learn, matplotlib and what else its own pages need.
"""


def log_model(store: Store, result: TrackedResult, folder: ModelFolder, run_id: str) -> str:
    """A logged model with a model folder of the result in it; its id.

    MLflow copies what it saves, twice. On this file system it is given an empty folder instead, and the files come
    last, as links to DVC's own copies: they cost no room, and stay when the checkout moves on.
    """
    kind = {"model_type": "text-classification", "tags": {RESULT: result.key}, "params": result.params}
    model = store.client.create_logged_model(store.experiment, folder.kind, run_id, **kind)
    store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    card = Model(model.artifact_location, run_id, model_uuid=model.model_id, model_id=model.model_id)
    is_local = model.artifact_location.startswith("file:")
    with store.not_waiting(), tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary) / folder.kind
        empty.mkdir()
        save_model(empty if is_local else folder.path, folder.kind, Path(temporary) / "saved", card)
        store.client.log_model_artifacts(model.model_id, f"{temporary}/saved")
        if is_local:
            saved = Path(mlflow.artifacts.download_artifacts(model.artifact_location))  # the very folder, no copy
            files = saved / "artifacts" / folder.kind
            link_cached(project_root() / ".dvc" / "cache", folder.stored, files)
            if file_sizes(files) != file_sizes(folder.path):  # the cache lacks the model, or some of it
                shutil.rmtree(files)  # else copies would be written through links into the cache
                shutil.copytree(folder.path, files)
            card.model_size_bytes = sum(file_sizes(saved).values())
            card.save(saved / "MLmodel")
    store.client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def save_model(folder: Path, kind: str, target: Path, card: Model | None = None) -> None:
    """Writes a model folder as a model of MLflow's, `target`, with a copy of this package's code and no pickle."""
    served = Path(__file__).with_name("served.py")
    mlflow.pyfunc.save_model(
        str(target),
        python_model=str(served),
        code_paths=[str(served.parent.parent)],
        artifacts={"model": str(folder)},
        signature=SIGNATURE,
        input_example=EXAMPLE,
        pip_requirements=[
            f"{name}=={version(name).split('+')[0]}" for name in sorted(f"{COMMON} {PACKAGES.get(kind, '')}".split())
        ],
        mlflow_model=card,
    )


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below a folder, by its path there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
