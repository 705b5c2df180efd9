"""The files of a checkout -> what MLflow is told of each model, and the digest by which a result is known again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pipeline.core.errors import UserError
from pipeline.core.io import file_sha256, read_bytes, read_json, read_jsonl, sha256
from pipeline.core.manifest import check_manifest
from pipeline.core.schemas import GOLD, CurvePoint, LabelledRow, Labels
from pipeline.evaluation.evaluate import headlines

# People see these names, no model does; a run must not double when one is mended.
DISPLAY_NAMES = "configs/themes.yaml:names"


@dataclass(frozen=True)
class Dataset:
    """Rows that a run used: its `context` is training or evaluation; `profile` counts rows."""

    name: str
    context: str
    path: str
    digest: str
    profile: dict[str, int]


@dataclass(frozen=True)
class TrackedResult:
    """What one model achieved. `key` is the same for the same result, whenever and wherever it was made.

    `curves` are (name, epoch, value); `folder` is the model's, None for a reference that is only measured; `stored` is
    the digest by which DVC's cache knows that folder.
    """

    model: str
    key: str
    params: dict[str, str]
    metrics: dict[str, float]
    curves: list[tuple[str, int, float]]
    datasets: tuple[Dataset, ...]
    tags: dict[str, str]
    reports: tuple[Path, ...]
    scored: Path
    folder: Path | None
    stored: str

    @property
    def name(self) -> str:
        """What the run is called: for a model with a folder the very name in the rows it classifies."""
        return f"{self.model}-{self.tags.get('digest.model', self.key)[:8]}"


@dataclass(frozen=True)
class ResultPaths:
    """Where the pipeline keeps what is read here."""

    lock: Path
    data: Path
    reports: Path
    models: Path

    @classmethod
    def below(cls, root: Path) -> ResultPaths:
        """The places of a checkout."""
        return cls(lock=root / "dvc.lock", data=root / "data", reports=root / "reports", models=root / "models")


def read_results(places: ResultPaths) -> list[TrackedResult]:
    """The results that the files hold, one a model that has been evaluated.

    Raises:
        UserError: if there is none, or dvc.lock is missing or speaks of other files than those that are there.
    """
    if not places.lock.is_file():
        raise UserError(f"{places.lock}: missing, so nobody can say what made the files; run `dvc repro`")
    stages = yaml.safe_load(read_bytes(places.lock)).get("stages", {})
    models = sorted(path.parent.name for path in places.reports.glob("*/scores.json"))
    if not models:
        raise UserError(f"{places.reports}: holds no <model>/scores.json; run `dvc repro`")
    return [_result(model, places, stages) for model in models]


def _result(model: str, places: ResultPaths, stages: Mapping[str, Any]) -> TrackedResult:
    scored, report, folder = places.data / "scored" / f"{model}.jsonl", places.reports / model, places.models / model
    last = f"evaluate@{model}"
    _check_scored(scored, stages.get(last, {}))
    lineage = _lineage(stages, [last, f"train@{model}", f"challenge@{model}"])
    challenge = places.reports / "challenge" / model
    params = _params(lineage.values())
    data = [places.data / name for name in ("labelled.jsonl", "labels.json", "folds.jsonl")]
    files = {path.name: file_sha256(path) for path in [*data, scored]}
    files |= {path.relative_to(places.reports).as_posix(): file_sha256(path) for path in _files(report, challenge)}
    manifest = check_manifest(folder, "model") if folder.is_dir() else None
    tags = {"model": model, "digest.data": sha256(msgspec.json.encode([files[path.name] for path in data]))}
    tags["digest.stages"] = sha256(msgspec.json.encode(lineage, order="sorted"))
    if manifest:
        tags |= {"digest.model": manifest.digest, **manifest.facts.get("hardware", {})}
    key = sha256(msgspec.json.encode([model, params, files, tags.get("digest.model")], order="sorted"))
    labels = read_json(places.data / "labels.json", Labels)
    return TrackedResult(
        model=model,
        key=key,
        params=params,
        metrics=_metrics(read_json(report / "scores.json", dict[str, Any]), labels) | _challenge_metrics(challenge),
        curves=_curves(places.data / "curves" / f"{model}.jsonl"),
        datasets=_datasets(places.data / "labelled.jsonl", tags["digest.data"]),
        tags={**tags, **_origin(places.lock.parent)},
        reports=tuple(folder for folder in (report, challenge) if folder.is_dir()),
        scored=scored,
        folder=folder if manifest else None,
        stored=next((out["md5"] for out in stages.get(f"train@{model}", {}).get("outs", [])), ""),
    )


def _files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def _check_scored(path: Path, stage: Mapping[str, Any]) -> None:
    """Refuses to log files that dvc.lock does not know: the parameters in it would be those of another result."""
    known = {out["path"]: out["md5"] for out in stage.get("outs", [])}
    expected = next((value for name, value in known.items() if name.endswith(f"/scored/{path.name}")), None)
    if expected is None or md5(read_bytes(path), usedforsecurity=False).hexdigest() != expected:
        raise UserError(f"{path}: not what dvc.lock says was made; run `dvc repro` or `dvc checkout`")


def _lineage(stages: Mapping[str, Any], last: Sequence[str]) -> dict[str, Any]:
    """The named stages and all whose outputs they came from, as dvc.lock records them."""
    makers = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", [])}
    found: dict[str, Any] = {}
    waiting = [name for name in last if name in stages]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = stages[name]
            waiting += [makers[dep["path"]] for dep in stages[name].get("deps", []) if dep["path"] in makers]
    return dict(sorted(found.items()))


def _params(stages: Any) -> dict[str, str]:
    """The parameters that DVC recorded for these stages, flat, under their names in the configuration files."""
    flat: dict[str, str] = {}
    for stage in stages:
        for file, values in stage.get("params", {}).items():
            for name, value in _flattened(values):
                if not f"{file}:{name}".startswith(DISPLAY_NAMES):
                    flat[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return dict(sorted(flat.items()))


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _metrics(report: Mapping[str, Any], labels: Labels) -> dict[str, float]:
    """The headline numbers, then all others, in the vocabulary of the reports.

    MLflow puts what stands before the last slash into one section of charts. So a language's figures of all themes are
    `f1_kk/education`, one section; its overall ones `f1_macro/kk`.
    """
    metrics: dict[str, float] = headlines(report, labels) | report["figures"]
    for language, values in report["languages"].items():
        for name, value in values.items():
            figure, slash, theme = name.partition("/")
            metrics[f"{figure}_{language}/{theme}" if slash else f"{name}/{language}"] = value
    for name, (low, high) in ((n, v) for n, v in report["intervals"]["all"].items() if n.startswith("f1/")):
        metrics |= {name.replace("f1/", "f1_low/"): low, name.replace("f1/", "f1_high/"): high}
    return metrics


def _challenge_metrics(folder: Path) -> dict[str, float]:
    """The figures on the challenge set, all under names that begin with it; none for a model that did not take it."""
    if not (folder / "dev.json").is_file():
        return {}
    report = read_json(folder / "dev.json", dict[str, Any])
    metrics = {}
    for language, values in {"": report["figures"], **report["languages"]}.items():
        for name, value in values.items():
            figure, slash, theme = name.partition("/")
            suffix = f"_{language}" if language else ""
            metrics[f"challenge_{figure}{suffix}/{theme}" if slash else f"challenge/{name}{suffix}"] = value
    return {name: value for name, value in metrics.items() if value is not None}


def _curves(path: Path) -> list[tuple[str, int, float]]:
    """Mean loss by epoch over the folds and seeds of the gold setting; empty for a model without epochs."""
    points = [point for point in read_jsonl(path, CurvePoint) if point.setting == GOLD]
    curves = []
    for epoch in sorted({point.epoch for point in points}):
        here = [point for point in points if point.epoch == epoch]
        held_out = [point.held_out_loss for point in here if point.held_out_loss is not None]
        for name, losses in (("loss/training", [point.loss for point in here]), ("loss/held_out", held_out)):
            if losses:
                curves.append((name, epoch, sum(losses) / len(losses)))
    return curves


def _datasets(path: Path, data_digest: str) -> tuple[Dataset, ...]:
    rows = read_jsonl(path, LabelledRow)
    kinds = {row.provenance for row in rows}
    profile = {f"{kind}_rows": sum(row.provenance == kind for row in rows) for kind in sorted(kinds)}
    gold = [row for row in rows if row.provenance == "gold"]
    scored = {"rows": len(gold), "articles": len({row.article for row in gold})}
    short = data_digest[:16]
    return (
        Dataset("labelled", "training", path.as_posix(), short, {"rows": len(rows), **profile}),
        Dataset("gold", "evaluation", path.as_posix(), short, scored),
    )


def _origin(folder: Path) -> dict[str, str]:
    """Where the files come from: commit, whether more than results differs from it, and DVC's experiment."""
    found = {}
    if commit := _git(folder, "rev-parse", "HEAD"):
        changes = _git(folder, "status", "--porcelain", "--", ".", ":!dvc.lock", ":!reports")
        found = {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}
    if name := os.environ.get("DVC_EXP_NAME"):
        found["dvc.experiment"] = name
    if baseline := os.environ.get("DVC_EXP_BASELINE_REV"):
        found["dvc.baseline"] = baseline
    return found


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
