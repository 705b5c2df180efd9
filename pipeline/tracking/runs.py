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

import mlflow
import msgspec
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map

from pipeline.classifiers.base import MODELS
from pipeline.core.io import read_json
from pipeline.core.manifest import MANIFEST
from pipeline.tracking import NO_LIMIT, OWN_THRESHOLDS
from pipeline.tracking.plots import draw_plot
from pipeline.tracking.results import TrackedResult
from pipeline.tracking.store import Store, project_root

FORBIDDEN = re.compile(r"[^/\w.\- :]")
"""What MLflow does not take in a name; a theme may hold a comma or a bracket."""
RESULT, COMPLETE = "result", "complete"
"""Tags: the key of the result; set last, when nothing is missing any more."""
ID, TEXT = ColSpec("string", "id", required=False), ColSpec("string", "text")
THEMES = [ColSpec(Array("string"), name) for name in ("themes", "undecided")]
SIGNATURE = ModelSignature(
    inputs=Schema([TEXT, ID]),
    outputs=Schema([ID, *THEMES, ColSpec(Map("double"), "scores"), ColSpec("string", "status")]),
    params=ParamSchema([ParamSpec("threshold", "double", OWN_THRESHOLDS), ParamSpec("top_k", "long", NO_LIMIT)]),
)
EXAMPLE = {"text": ["В школах внедряются программы «Адал ұрпақ».", "Жексенбіде ауа райы бұзылады."]}
SERVING_PACKAGES = (
    "mlflow msgspec numpy py3langid pyyaml safetensors scikit-learn scipy tokenizers torch tqdm transformers"
)
"""What a served model imports. MLflow would find out by loading the model, which takes seconds a run."""


def log_result(store: Store, result: TrackedResult) -> tuple[Any, bool]:
    """The complete run (mlflow.entities.Run) of a result, and whether it is new."""
    client = store.client
    runs = client.search_runs([store.experiment], f"tags.{RESULT} = '{result.key}'", order_by=["start_time"])
    complete = [run for run in runs if COMPLETE in run.data.tags]
    for run in runs:
        if run not in complete[:1]:  # a kill left it open
            source = f"source_run_id = '{run.info.run_id}'"
            for model in client.search_logged_models([store.experiment], filter_string=source):
                client.delete_logged_model(model.model_id)
            client.delete_run(run.info.run_id)
    return (complete[0], False) if complete else (_write(store, result), True)


def _write(store: Store, result: TrackedResult) -> Any:
    client, start = store.client, result.made or int(time.time() * 1000)
    tags = {RESULT: result.key, **result.tags, "mlflow.note.content": note(result), "mlflow.source.name": "dvc.yaml"}
    tags |= {"mlflow.runColor": _colour(result), "mlflow.source.git.commit": result.tags.get("git.commit", "")}
    run_id = client.create_run(store.experiment, start, tags, result.name).info.run_id
    client.log_batch(run_id, params=[Param(FORBIDDEN.sub("_", name), value) for name, value in result.params.items()])
    labelled, gold = _dataset(result, "labelled", "training"), _dataset(result, "gold", "evaluation")
    client.log_inputs(run_id, [labelled, gold])
    model_id = _log_model(store, result, run_id) if result.folder else None
    on_gold = (model_id, gold.dataset.name, gold.dataset.digest)
    metrics = [Metric(FORBIDDEN.sub("_", name), value, start, 0, *on_gold) for name, value in result.metrics.items()]
    metrics += [Metric(name, value, start, epoch, model_id) for name, epoch, value in result.curves]
    client.log_batch(run_id, metrics=metrics)
    with store.not_waiting(), tempfile.TemporaryDirectory() as folder:
        for name, path in result.reports.items():
            shutil.copytree(path, Path(folder) / name, dirs_exist_ok=True)
        for data in sorted(Path(folder).glob("plots/*.csv")):
            draw_plot(data, result.name)
        shutil.copyfile(result.scored, Path(folder) / "scored.jsonl")
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, end_time=result.made)
    client.set_tag(run_id, COMPLETE, "true")
    return client.get_run(run_id)


def _dataset(result: TrackedResult, name: str, context: str) -> DatasetInput:
    source, profile = (msgspec.json.encode(value).decode() for value in ({"uri": str(result.data)}, result.rows[name]))
    dataset = Dataset(name, result.tags["digest.data"][:16], "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def _colour(result: TrackedResult) -> str:
    """A hue for the kind of model, lighter or darker by the result: MLflow gives two runs the same colour at times."""
    hue = list(MODELS).index(result.model) / len(MODELS) if result.model in MODELS else 0.0
    lightness = 0.3 + 0.35 * int(result.key[:4], 16) / 0xFFFF
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, 0.6))


def note(result: TrackedResult) -> str:
    """What people should know before they read the figures."""
    gold = result.rows["gold"]
    middle, low, high = (result.metrics[f"f1_macro{end}"] for end in ("", "_low", "_high"))
    return (
        f"Out of fold on {gold['rows']} gold paragraphs of {gold['articles']} articles, whole articles held out: "
        f"macro-F1 {middle:.3f} ({low:.3f} to {high:.3f}). Two runs whose intervals overlap may differ by noise alone: "
        "reports/comparison.md of the project says which are better."
    )


def _log_model(store: Store, result: TrackedResult, run_id: str) -> str:
    """A logged model with the model's folder in it; its id.

    MLflow copies what it saves, twice. On this file system it is given an empty folder instead, and the files come
    last, as links to DVC's own copies: they cost no room, and stay when the checkout moves on.
    """
    assert result.folder is not None
    kind = {"model_type": "text-classification", "tags": {RESULT: result.key}, "params": result.params}
    model = store.client.create_logged_model(store.experiment, result.model, run_id, **kind)
    store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    card = Model(model.artifact_location, run_id, model_uuid=model.model_id, model_id=model.model_id)
    cache, served = project_root() / ".dvc" / "cache", Path(__file__).with_name("served.py")
    is_local = model.artifact_location.startswith("file:")
    with store.not_waiting(), tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary) / result.model
        empty.mkdir()
        mlflow.pyfunc.save_model(
            f"{temporary}/saved",
            python_model=str(served),
            code_paths=[str(served.parent.parent)],
            artifacts={"model": str(empty if is_local else result.folder)},
            signature=SIGNATURE,
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in SERVING_PACKAGES.split()],
            mlflow_model=card,
        )
        store.client.log_model_artifacts(model.model_id, f"{temporary}/saved")
        if is_local:
            saved = Path(mlflow.artifacts.download_artifacts(model.artifact_location))  # the very folder, no copy
            files = saved / "artifacts" / result.model
            link_cached(cache, result.stored, files)
            if not (files / MANIFEST).exists():  # the cache lacks the model
                shutil.rmtree(files)  # else copies would be written through links into the cache
                shutil.copytree(result.folder, files)
            card.model_size_bytes = sum(path.stat().st_size for path in saved.rglob("*") if path.is_file())
            card.save(saved / "MLmodel")
    store.client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def link_cached(cache: Path, digest: str, target: Path) -> None:
    """Puts a file or folder of DVC's cache at `target`, as hard links if possible; what the cache lacks is left out."""
    source = cache / "files" / "md5" / digest[:2] / digest[2:]
    if digest.endswith(".dir") and source.is_file():
        for entry in read_json(source, list[dict[str, Any]]):
            link_cached(cache, entry["md5"], target / entry["relpath"])
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
