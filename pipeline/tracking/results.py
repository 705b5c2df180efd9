"""The files of a checkout -> what MLflow is told of each model, and the digest by which a result is known again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from pipeline.core.errors import UserError
from pipeline.core.io import file_sha256, read_bytes, read_json, read_jsonl, sha256
from pipeline.core.manifest import check_manifest
from pipeline.core.schemas import CurvePoint, LabelledRow, Labels
from pipeline.evaluation.evaluate import MEASURED, headlines
from pipeline.evaluation.plot_data import loss_curves

DISPLAY_NAMES = "configs/themes.yaml:names"  # people see these, no model does; a run must not double when one is mended


class ResultPaths(NamedTuple):
    """dvc.lock, folders of tables, reports, models; when outputs were first committed, by DVC's digest; tags."""

    lock: Path
    data: Path
    reports: Path
    models: Path
    committed: Mapping[str, int] = {}  # ms since 1970
    tags: Mapping[str, str] = {}  # of where they come from


class TrackedResult(NamedTuple):
    """What one model achieved. `key` is the same for the same result, whenever and wherever it was made.

    `name` is the run's, for a model with a folder the very name in the rows it classifies; `made` is when all that it
    came from was first committed (ms since 1970), None if it was not; `curves` are (name, epoch,
    value); `rows` counts those of the datasets `labelled` and `gold`; `reports` are folders by the name that they get
    in the run; `folder` is the model's, None for a reference that is only measured; `stored` is the digest by which
    DVC's cache knows that folder.
    """

    model: str
    name: str
    key: str
    made: int | None
    params: dict[str, str]
    metrics: dict[str, float]
    curves: list[tuple[str, int, float]]
    tags: dict[str, str]
    rows: dict[str, dict[str, int]]
    reports: dict[str, Path]
    scored: Path
    folder: Path | None
    stored: str


def read_results(paths: ResultPaths) -> list[TrackedResult]:
    """The results that the files hold, one a model that has been evaluated.

    Raises:
        UserError: if there is none, or dvc.lock is missing or speaks of other files than those that are there.
    """
    if not paths.lock.is_file():
        raise UserError(f"{paths.lock}: missing, so nobody can say what made the files; run `dvc repro`")
    stages = load_stages(read_bytes(paths.lock))
    models = sorted(path.parent.name for path in paths.reports.glob("*/scores.json"))
    if not models:
        raise UserError(f"{paths.reports}: holds no <model>/scores.json; run `dvc repro`")
    return [read_result(model, paths, stages) for model in models]


def load_stages(lock: bytes) -> dict[str, Any]:
    """What a dvc.lock says of each stage. LibYAML takes 20 ms for ours, pure Python 150."""
    loaded = yaml.load(lock, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded.get("stages", {}) if isinstance(loaded, dict) else {}


def needed_outs(model: str, stages: Mapping[str, Any]) -> list[str]:
    """The outputs that a model's result is read from, beside the reports, as dvc.lock names them."""
    tables = ["labelled.jsonl", "labels.json", "folds.jsonl", f"scored/{model}.jsonl", f"curves/{model}.jsonl"]
    return [f"data/{name}" for name in tables] + [f"models/{model}"] * (f"train@{model}" in stages)


def read_result(model: str, paths: ResultPaths, stages: Mapping[str, Any]) -> TrackedResult:
    """The result of one model; `stages` is what dvc.lock says of them.

    Raises:
        UserError: if dvc.lock speaks of other files than those that are there, or one is missing or broken.
    """
    behind = lineage(stages, model)
    outs = {paths.lock.parent / path: digest for path, digest in lineage_outs(behind).items()}
    labelled, labels, folds = (paths.data / name for name in ("labelled.jsonl", "labels.json", "folds.jsonl"))
    scored, folder = paths.data / "scored" / f"{model}.jsonl", paths.models / model
    report, challenge = paths.reports / model, paths.reports / "challenge" / model
    if md5(read_bytes(scored), usedforsecurity=False).hexdigest() != outs.get(scored):  # nor are the params its own
        raise UserError(f"{scored}: not what dvc.lock says was made; run `dvc repro` or `dvc checkout`")
    digests = {path.name: file_sha256(path) for path in (labelled, labels, folds, scored)}
    data_digest = digest_of([digests[path.name] for path in (labelled, labels, folds)])
    tags = {"model": model, "digest.data": data_digest, "digest.stages": digest_of(behind), **paths.tags}
    written = (path for place in (report, challenge) for path in place.rglob("*") if path.is_file())
    digests |= {path.relative_to(paths.reports).as_posix(): file_sha256(path) for path in written}
    if folder.is_dir():
        manifest = check_manifest(folder, "model")
        tags |= {"digest.model": manifest.digest, **manifest.facts.get("hardware", {})}
    params, figures = lineage_params(behind), read_json(report / "scores.json", dict[str, Any])
    tags[MEASURED] = ", ".join(figures[MEASURED])
    key = digest_of([model, params, digests, tags.get("digest.model")])
    kinds = Counter(f"{row.provenance}_rows" for row in read_jsonl(labelled, LabelledRow))
    return TrackedResult(
        model=model,
        name=f"{model}-{tags.get('digest.model', key)[:8]}",
        key=key,
        made=_made([paths.committed.get(digest) for digest in outs.values()]),
        params=params,
        metrics=_metrics(figures, read_json(labels, Labels), challenge / "dev.json"),
        curves=_curves(paths.data / "curves" / f"{model}.jsonl"),
        tags=tags,
        rows={"labelled": {"rows": kinds.total(), **kinds}, "gold": {n: figures[n] for n in ("rows", "articles")}},
        reports={name: path for name, path in (("", report), ("challenge", challenge)) if path.is_dir()},
        scored=scored,
        folder=folder if folder.is_dir() else None,
        stored=outs.get(folder, ""),
    )


def _made(committed: Sequence[int | None]) -> int | None:
    """When the last of a result's outputs came into a commit; None if one never did."""
    times = [when for when in committed if when]
    return max(times, default=None) if len(times) == len(committed) else None


def digest_of(value: Any) -> str:
    """SHA-256 of a value, whatever the order of its keys."""
    return sha256(msgspec.json.encode(value, order="sorted"))


def lineage(stages: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The last stages of a model and all whose outputs they came from, as dvc.lock records them."""
    last = [f"{stage}@{model}" for stage in ("evaluate", "train", "challenge")]
    makers = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", [])}
    found: dict[str, Any] = {}
    waiting = [name for name in last if name in stages]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = stages[name]
            waiting += [makers[dep["path"]] for dep in stages[name].get("deps", []) if dep["path"] in makers]
    return dict(sorted(found.items()))


def lineage_outs(behind: Mapping[str, Any]) -> dict[str, str]:
    """The outputs of these stages: path -> DVC's digest."""
    return {out["path"]: out["md5"] for stage in behind.values() for out in stage.get("outs", [])}


def lineage_params(behind: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that DVC recorded for these stages, flat, under their names in the configuration files."""
    recorded = [(file, values) for stage in behind.values() for file, values in stage.get("params", {}).items()]
    pending = [(f"{file}:{name}", value) for file, values in recorded for name, value in values.items()]
    flat = {}
    for name, value in pending:
        if isinstance(value, dict):
            pending += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif not name.startswith(DISPLAY_NAMES):
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            flat[name.partition(":")[2]] = text
    return dict(sorted(flat.items()))


def _metrics(report: Mapping[str, Any], labels: Labels, challenge: Path) -> dict[str, float]:
    """The headline numbers, then all others, in the vocabulary of the reports."""
    metrics = headlines(report, labels) | _figures(report)
    if challenge.is_file():
        metrics |= _figures(read_json(challenge, dict[str, Any]), challenge=True)
    for name, interval in report["intervals"]["all"].items():
        if name.startswith("f1/") and interval:
            metrics[name.replace("f1/", "f1_low/")], metrics[name.replace("f1/", "f1_high/")] = interval
    return metrics


def _figures(report: Mapping[str, Any], challenge: bool = False) -> dict[str, float]:
    """A report's figures, over all rows and by language, under the names that they have in MLflow.

    MLflow puts what stands before the last slash into one section of charts. So a language's figures of all themes are
    `f1_kk/education`, one section, and its overall ones `f1_macro/kk`; those on the challenge set are apart from both.
    """
    figures = {}
    for language, values in {"": report["figures"], **report["languages"]}.items():
        suffix = f"_{language}" if language else ""
        for name, value in values.items():
            if "/" in name:
                name = ("challenge_" if challenge else "") + name.replace("/", f"{suffix}/", 1)
            elif challenge or language:
                name = f"challenge/{name}{suffix}" if challenge else f"{name}/{language}"
            if value is not None:
                figures[name] = value
    return figures


def _curves(path: Path) -> list[tuple[str, int, float]]:
    """Loss by epoch as the report's plot shows it; empty for a model without epochs."""
    points = loss_curves(read_jsonl(path, CurvePoint))
    curves = [(f"loss/{name}", point["epoch"], point[name]) for point in points for name in ("training", "held_out")]
    return [(name, epoch, loss) for name, epoch, loss in curves if loss is not None]
