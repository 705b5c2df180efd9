"""One result -> one run: found by its key if it is there, mended if a kill left it open, written otherwise."""

from __future__ import annotations

import colorsys
import os
import re
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import msgspec
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map

from pipeline.classifiers.base import MODELS
from pipeline.tracking import NO_LIMIT, OWN_THRESHOLDS, figures
from pipeline.tracking.results import Dataset, TrackedResult
from pipeline.tracking.store import Store, project_root

RESULT, COMPLETE = "result", "complete"
"""Tags: the key of the result; set last, when nothing is missing any more."""
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text"), ColSpec(DataType.string, "id", required=False)]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "id", required=False),
            ColSpec(Array(DataType.string), "themes"),
            ColSpec(Array(DataType.string), "undecided"),
            ColSpec(Map(DataType.double), "scores"),
            ColSpec(DataType.string, "status"),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("threshold", DataType.double, OWN_THRESHOLDS),
            ParamSpec("top_k", DataType.long, NO_LIMIT),
        ]
    ),
)
EXAMPLE = {"text": ["В школах внедряются программы «Адал ұрпақ».", "Жексенбіде ауа райы бұзылады."]}
# What a served model imports. MLflow would find out by loading the model, which takes seconds a run.
SERVING_PACKAGES = (
    "mlflow",
    "msgspec",
    "numpy",
    "py3langid",
    "pyyaml",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
)
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""MLflow takes no more in one call (https://mlflow.org/docs/latest/rest-api.html#log-batch)."""
Run = Any  # mlflow.entities.Run, whose type MLflow does not export to type checkers


def log_result(store: Store, result: TrackedResult, made: int | None = None) -> tuple[Run, bool]:
    """The complete run of a result, and whether it is new. `made` is when the result was made (ms), now if None."""
    found = store.client.search_runs([store.experiment], filter_string=f"tags.{RESULT} = '{result.key}'")
    complete = sorted((r for r in found if r.data.tags.get(COMPLETE)), key=lambda run: int(run.info.start_time))
    for run in found:
        if run not in complete[:1]:
            _discard(store, run)
    if complete:
        return complete[0], False
    return _write(store, result, made), True


def _discard(store: Store, run: Run) -> None:
    """Deletes a run that a kill left open, with its logged models."""
    run_id = run.info.run_id
    for model in store.client.search_logged_models([store.experiment], filter_string=f"source_run_id = '{run_id}'"):
        store.client.delete_logged_model(model.model_id)
    store.client.delete_run(run_id)


def _write(store: Store, result: TrackedResult, made: int | None) -> Run:
    client, start = store.client, made or int(time.time() * 1000)
    tags = {RESULT: result.key, **result.tags, "mlflow.note.content": note(result), "mlflow.source.name": "dvc.yaml"}
    tags["mlflow.runColor"] = _colour(result)
    if commit := result.tags.get("git.commit"):
        tags["mlflow.source.git.commit"] = commit
    run_id = client.create_run(store.experiment, start_time=start, tags=tags, run_name=result.name).info.run_id
    params = [Param(_allowed(name), value) for name, value in result.params.items()]
    for start_at in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start_at : start_at + PARAMS_AT_ONCE])
    client.log_inputs(run_id, [_dataset(dataset) for dataset in result.datasets])
    model_id = _log_model(store, result, run_id) if result.folder else None
    scored = next(dataset for dataset in result.datasets if dataset.context == "evaluation")
    linked = {"model_id": model_id, "dataset_name": scored.name, "dataset_digest": scored.digest}
    metrics = [Metric(_allowed(name), value, start, 0, **linked) for name, value in result.metrics.items()]
    metrics += [Metric(name, value, start, epoch, model_id=model_id) for name, epoch, value in result.curves]
    for start_at in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start_at : start_at + METRICS_AT_ONCE])
    with tempfile.TemporaryDirectory() as folder:
        _collect(result, Path(folder))
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, end_time=made)
    client.set_tag(run_id, COMPLETE, "true")
    return client.get_run(run_id)


def _allowed(name: str) -> str:
    """A name that MLflow takes: a theme may hold a comma or a bracket, the name of a metric may not."""
    return re.sub(r"[^/\w.\- :]", "_", name)


def _colour(result: TrackedResult) -> str:
    """A hue for the kind of model, lighter or darker by the result: MLflow gives two runs the same colour at times."""
    hue = list(MODELS).index(result.model) / len(MODELS) if result.model in MODELS else 0.0
    lightness = 0.3 + 0.35 * int(result.key[:4], 16) / 0xFFFF
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, 0.6))


def note(result: TrackedResult) -> str:
    """What people should know before they read the figures."""
    gold = next(dataset for dataset in result.datasets if dataset.context == "evaluation").profile
    low, high = result.metrics["f1_macro_low"], result.metrics["f1_macro_high"]
    return (
        f"Out of fold on {gold['rows']} gold paragraphs of {gold['articles']} articles, whole articles held out: "
        f"macro-F1 {result.metrics['f1_macro']:.3f} ({low:.3f} to {high:.3f}). Two runs whose intervals overlap may "
        "differ by noise alone: reports/comparison.md of the project says which are better."
    )


def _dataset(dataset: Dataset) -> DatasetInput:
    source = msgspec.json.encode({"uri": dataset.path}).decode()
    profile = msgspec.json.encode(dataset.profile).decode()
    entity = DatasetEntity(dataset.name, dataset.digest, "local", source, profile=profile)
    return DatasetInput(entity, [InputTag("mlflow.data.context", dataset.context)])


def _collect(result: TrackedResult, folder: Path) -> None:
    """The run's artifacts: figures, their data, the error table, all scores by row."""
    report, *others = result.reports
    shutil.copytree(report, folder, dirs_exist_ok=True)
    for other in others:
        shutil.copytree(other, folder / other.parent.name)
    shutil.copyfile(result.scored, folder / "scored.jsonl")
    for picture in sorted((folder / "plots").glob("*.csv")):
        figures.draw_figures(picture, picture.with_suffix(".png"), result.name)


# ---- the model -------------------------------------------------------------------------------------------------------


def _log_model(store: Store, result: TrackedResult, run_id: str) -> str:
    """A logged model with the folder in it; its id. On a local store the files are hard links and take no room."""
    model = store.client.create_logged_model(
        store.experiment,
        name=result.model,
        source_run_id=run_id,
        tags={RESULT: result.key},
        params=result.params,
        model_type="text-classification",
    )
    store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    target = _local(model.artifact_location) if store.artifacts else None
    # Beside its last place, since files are linked and renamed within one file system alone.
    with tempfile.TemporaryDirectory(dir=_made(target.parent) if target else None) as parent:
        folder = Path(parent) / "model"
        _stage(result, folder, model.artifact_location, model.model_id, run_id)
        if target:
            folder.rename(target)
        else:
            store.client.log_model_artifacts(model.model_id, str(folder))
    store.client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _local(location: str) -> Path:
    parsed = urlparse(location)
    return Path(url2pathname(parsed.path)) if parsed.scheme == "file" else Path(location)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stage(result: TrackedResult, folder: Path, location: str, model_id: str, run_id: str) -> None:
    """Writes what MLflow wants around a model; the model's files join as links, which MLflow itself would copy."""
    assert result.folder is not None
    served = Path(__file__).with_name("served.py")
    package = served.parent.parent
    card = Model(artifact_path=location, model_uuid=model_id, run_id=run_id, model_id=model_id)
    with tempfile.TemporaryDirectory() as empty:
        placeholder, code = Path(empty) / result.model, Path(empty) / package.name
        placeholder.mkdir()
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("__pycache__"))
        save_model(
            folder,
            python_model=str(served),
            code_paths=[str(code)],
            artifacts={"model": str(placeholder)},
            signature=SIGNATURE,
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in SERVING_PACKAGES],
            mlflow_model=card,
        )
    for pycache in folder.rglob("__pycache__"):
        shutil.rmtree(pycache)
    cached = _cached(project_root() / ".dvc" / "cache" / "files" / "md5", result.stored)
    for path in sorted(path for path in result.folder.rglob("*") if path.is_file()):
        name = path.relative_to(result.folder)
        target = folder / "artifacts" / result.model / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(cached.get(name.as_posix(), path), target)
    card.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    card.save(folder / "MLmodel")


def _cached(cache: Path, stored: str) -> dict[str, Path]:
    """DVC's own copies of a folder's files by name: they stay when the checkout moves on, so links to them are free."""
    listing = cache / stored[:2] / stored[2:]
    if not stored or not listing.is_file():
        return {}
    entries = msgspec.json.decode(listing.read_bytes(), type=list[dict[str, Any]])
    objects = {entry["relpath"]: cache / entry["md5"][:2] / entry["md5"][2:] for entry in entries}
    return {name: path for name, path in objects.items() if path.is_file()}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
