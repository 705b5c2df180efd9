"""The files of a checkout -> what MLflow is told of each model, and the digest by which a result is known again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.io import file_sha256, read_bytes, read_json, read_jsonl
from pipeline.core.manifest import check_manifest
from pipeline.core.schemas import CurvePoint, LabelledRow, Labels
from pipeline.evaluation.evaluate import MEASURED, headlines
from pipeline.evaluation.plot_data import loss_curves
from pipeline.tracking.lock import EXPORT, digest_of, lineage, lineage_outs, lineage_params, load_stages, model_kinds

GATE = "export.json"
"""The report of the stage that makes what people serve."""


class ResultPaths(NamedTuple):
    """dvc.lock, folders of tables, reports, models; when outputs were first committed, by DVC's digest; tags."""

    lock: Path
    data: Path
    reports: Path
    models: Path
    committed: Mapping[str, int] = {}  # ms since 1970
    tags: Mapping[str, str] = {}  # of where they come from


class ModelFolder(NamedTuple):
    """A model folder: its kind, place and digest, the one by which DVC's cache knows it, and what it learnt on."""

    kind: str
    path: Path
    digest: str
    stored: str
    hardware: dict[str, str]

    @property
    def name(self) -> str:
        """The very name in the rows that it classifies."""
        return f"{self.kind}-{self.digest[:8]}"


class TrackedResult(NamedTuple):
    """What one model achieved. `key` is the same for the same result, whenever and wherever it was made.

    `name` is the run's, for a model with a folder the folder's; `made` is when all that it came from was first
    committed (ms since 1970), None if it was not; `gate` says how near the compact form's answers are; `curves` are
    (name, epoch, value); `rows` counts those of the datasets `labelled` and `gold`; `reports` are folders by the name
    that they get in the run; `folders` are none for a reference that is only measured, else the trained model and what
    was made of it, the one that people serve last.
    """

    model: str
    name: str
    key: str
    made: int | None
    params: dict[str, str]
    metrics: dict[str, float]
    gate: dict[str, float]
    curves: list[tuple[str, int, float]]
    tags: dict[str, str]
    rows: dict[str, dict[str, int]]
    reports: dict[str, Path]
    scored: Path
    folders: tuple[ModelFolder, ...]


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


def read_result(model: str, paths: ResultPaths, stages: Mapping[str, Any]) -> TrackedResult:
    """The result of one model; `stages` is what dvc.lock says of them.

    Raises:
        UserError: if dvc.lock speaks of other files than those that are there, or one is missing or broken.
    """
    behind = lineage(stages, model)
    outs = {paths.lock.parent / path: digest for path, digest in lineage_outs(behind).items()}
    labelled, labels, folds = (paths.data / name for name in ("labelled.jsonl", "labels.json", "folds.jsonl"))
    scored = paths.data / "scored" / f"{model}.jsonl"
    report, challenge = paths.reports / model, paths.reports / "challenge" / model
    if md5(read_bytes(scored), usedforsecurity=False).hexdigest() != outs.get(scored):  # nor are the params its own
        raise UserError(f"{scored}: not what dvc.lock says was made; run `dvc repro` or `dvc checkout`")
    digests = {path.name: file_sha256(path) for path in (labelled, labels, folds, scored)}
    data_digest = digest_of([digests[path.name] for path in (labelled, labels, folds)])
    tags = {"model": model, "digest.data": data_digest, "digest.stages": digest_of(behind), **paths.tags}
    written = (path for place in (report, challenge) for path in place.rglob("*") if path.is_file())
    digests |= {path.relative_to(paths.reports).as_posix(): file_sha256(path) for path in written}
    folders = [_read_folder(kind, paths, outs) for kind in model_kinds(model, stages)]
    tags |= _folder_tags(folders, stages)
    digests |= {folder.kind: folder.digest for folder in folders[1:]}
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
        gate=_gate(paths.reports / GATE) if folders[1:] else {},
        curves=_curves(paths.data / "curves" / f"{model}.jsonl"),
        tags=tags,
        rows={"labelled": {"rows": kinds.total(), **kinds}, "gold": {n: figures[n] for n in ("rows", "articles")}},
        reports={name: path for name, path in (("", report), ("challenge", challenge)) if path.is_dir()},
        scored=scored,
        folders=tuple(folders),
    )


def _read_folder(kind: str, paths: ResultPaths, outs: Mapping[Path, str]) -> ModelFolder:
    manifest = check_manifest(paths.models / kind, "model")
    hardware = manifest.facts.get("hardware", {})
    return ModelFolder(kind, paths.models / kind, manifest.digest, outs.get(paths.models / kind, ""), hardware)


def _folder_tags(folders: Sequence[ModelFolder], stages: Mapping[str, Any]) -> dict[str, str]:
    tags = {"digest.model": folders[0].digest, **folders[0].hardware} if folders else {}
    for served in folders[1:]:
        _check_exported(served, folders[0], stages[EXPORT])
        tags[f"digest.{served.kind}"] = served.digest
    return tags


def _check_exported(served: ModelFolder, trained: ModelFolder, stage: Mapping[str, Any]) -> None:
    """Refuses what was made of an earlier training: the figures are not its own."""
    if trained.stored not in [dep.get("md5") for dep in stage["deps"]]:
        raise UserError(f"{served.path}: not made of this {trained.path}, says dvc.lock; run `dvc repro {EXPORT}`")


def _made(committed: Sequence[int | None]) -> int | None:
    """When the last of a result's outputs came into a commit; None if one never did."""
    times = [when for when in committed if when]
    return max(times, default=None) if len(times) == len(committed) else None


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


def _gate(path: Path) -> dict[str, float]:
    """What `export` found of the form that it took, the last that it tried."""
    *_, taken = read_json(path, dict[str, dict[str, dict[str, float]]]).values()
    return {f"gate/{name}_{language}": value for language, found in taken.items() for name, value in found.items()}


def _curves(path: Path) -> list[tuple[str, int, float]]:
    """Loss by epoch as the report's plot shows it; empty for a model without epochs."""
    points = loss_curves(read_jsonl(path, CurvePoint))
    curves = [(f"loss/{name}", point["epoch"], point[name]) for point in points for name in ("training", "held_out")]
    return [(name, epoch, loss) for name, epoch, loss in curves if loss is not None]
