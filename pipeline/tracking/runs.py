"""One result -> one run: found by its key if it is there, mended if a kill left it open, written otherwise."""

from __future__ import annotations

import colorsys
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from pipeline.classifiers.base import MODELS
from pipeline.evaluation.compare import three_digits
from pipeline.evaluation.evaluate import MEASURED
from pipeline.tracking.logged import RESULT, file_sizes, log_model
from pipeline.tracking.plots import draw_plot
from pipeline.tracking.results import ModelFolder, TrackedResult
from pipeline.tracking.store import Store

FORBIDDEN = re.compile(r"[^/\w.\- :]")  # what MLflow does not take in a name; a theme may hold a comma or a bracket
COMPLETE = "complete"  # a tag that is set last, when nothing is missing any more
VIEW = "mlflow.sharedViewState.headlines"  # the link of `make ui` ends in viewStateShareKey=headlines
VIEWED = ("f1_macro", "f1_macro_low", "f1_macro_high", "ap_macro")


def log_result(store: Store, result: TrackedResult) -> tuple[Any, bool]:
    """The whole run (mlflow.entities.Run) of a result, and whether it is new; whatever else there is of it is deleted.

    A run that a kill left open, or that has lost its files, a model or the model's files, is written again.
    """
    client, same = store.client, f"tags.{RESULT} = '{result.key}'"
    runs = client.search_runs([store.experiment], same, order_by=["start_time"])
    models = client.search_logged_models([store.experiment], same)
    whole = next((run for run in runs if _is_whole(store, result, run, models)), None)
    run = whole or _write(store, result)
    for other in runs:
        if other.info.run_id != run.info.run_id:
            client.delete_run(other.info.run_id)
    for model in models:
        if model.source_run_id != run.info.run_id:  # MLflow leaves it behind when it purges the run
            client.delete_logged_model(model.model_id)
    return run, whole is None


def share_view(store: Store, metrics: Collection[str]) -> None:
    """Keeps in the experiment which figures the link of `make ui` shows as columns, those of each language included.

    MLflow's own links to a view work so: a tag of the experiment holds the view, and the link names the tag.
    """
    languages = sorted(name.replace("ap_macro/", "f1_macro/") for name in metrics if name.startswith("ap_macro/"))
    columns = [f"metrics.`{FORBIDDEN.sub('_', name)}`" for name in [*VIEWED, *languages]]
    view = {"selectedColumns": [*columns, "attributes.`Models`"], "orderByKey": columns[0], "orderByAsc": False}
    text = msgspec.json.encode(view).decode()
    if store.client.get_experiment(store.experiment).tags.get(VIEW) != text:
        store.client.set_experiment_tag(store.experiment, VIEW, text)


def _is_whole(store: Store, result: TrackedResult, run: Any, models: Sequence[Any]) -> bool:
    """Whether a run is complete, with its scored rows and, of each model folder, a logged model with all its files."""
    list_files, run_id = store.client.list_logged_model_artifacts, run.info.run_id
    kept = {file.path for file in store.client.list_artifacts(run_id)}
    if COMPLETE not in run.data.tags or "scored.jsonl" not in kept:
        return False
    logged = {model.name: model.model_id for model in models if model.source_run_id == run_id}
    if sorted(logged.values()) != sorted(output.model_id for output in run.outputs.model_outputs):
        return False
    return logged.keys() == {folder.kind for folder in result.folders} and all(
        _has_files(list_files, logged[folder.kind], folder) for folder in result.folders
    )


def _has_files(list_files: Callable[..., Any], model_id: str, folder: ModelFolder) -> bool:
    waiting, sizes = list(list_files(model_id)), {}
    for file in waiting:
        if file.is_dir and Path(file.path).parts[0] == "artifacts":  # not all of the code: each folder is a request
            waiting += list_files(model_id, file.path)
        sizes[file.path] = file.file_size
    wanted = {f"artifacts/{folder.kind}/{name}": size for name, size in file_sizes(folder.path).items()}
    return "MLmodel" in sizes and wanted.items() <= sizes.items()


def _write(store: Store, result: TrackedResult) -> Any:
    client, start = store.client, result.made or int(time.time() * 1000)
    tags = {RESULT: result.key, **result.tags, "mlflow.note.content": note(result), "mlflow.source.name": "dvc.yaml"}
    tags |= {"mlflow.runColor": _colour(result), "mlflow.source.git.commit": result.tags.get("git.commit", "")}
    run_id = client.create_run(store.experiment, start, tags, result.name).info.run_id
    client.log_batch(run_id, params=[Param(FORBIDDEN.sub("_", name), value) for name, value in result.params.items()])
    labelled, gold = _dataset(result, "labelled", "training"), _dataset(result, "gold", "evaluation")
    client.log_inputs(run_id, [labelled, gold])
    logged = [log_model(store, result, folder, run_id) for folder in result.folders]
    trained, served = (logged[0], logged[-1]) if logged else (None, None)
    on_gold = (trained, gold.dataset.name, gold.dataset.digest)
    metrics = [Metric(FORBIDDEN.sub("_", name), value, start, 0, *on_gold) for name, value in result.metrics.items()]
    metrics += [Metric(name, value, start, epoch, trained) for name, epoch, value in result.curves]
    metrics += [Metric(name, value, start, 0, served) for name, value in result.gate.items()]
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
    profile, digest = msgspec.json.encode(result.rows[name]).decode(), result.tags["digest.data"][:16]
    dataset = Dataset(name, digest, "local", '{"uri":"data/labelled.jsonl"}', profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def _colour(result: TrackedResult) -> str:
    """A hue for the kind of model, lighter or darker by the result: MLflow gives two runs the same colour at times."""
    hue = list(MODELS).index(result.model) / len(MODELS) if result.model in MODELS else 0.0
    lightness = 0.3 + 0.35 * int(result.key[:4], 16) / 0xFFFF
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, 0.6))


def note(result: TrackedResult) -> str:
    """What people should know before they read the figures."""
    gold = result.rows["gold"]
    middle, low, high = (three_digits(result.metrics.get(f"f1_macro{end}")) for end in ("", "_low", "_high"))
    served = f" Served is {result.folders[-1].name}; the figures gate/… say how like it answers." if result.gate else ""
    return (
        f"Out of fold on {gold['rows']} gold paragraphs of {gold['articles']} articles, whole articles held out: "
        f"macro-F1 {middle} ({low} to {high}) over {result.tags[MEASURED] or 'no theme'}. "
        "Two runs whose intervals overlap may differ by noise alone: "
        f"reports/comparison.md of the project says which are better.{served}"
    )
