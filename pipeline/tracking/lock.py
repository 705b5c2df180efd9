"""What dvc.lock says of a result: the stages behind it, their outputs and their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from pipeline.core.io import sha256

SERVED = {"transformer": "compact"}
"""What people serve in place of a trained model."""
EXPORT = "export"
"""The stage that makes it."""
DISPLAY_NAMES = "configs/themes.yaml:names"  # people see these, no model does; a run must not double when one is mended


def load_stages(lock: bytes) -> dict[str, Any]:
    """What a dvc.lock says of each stage. LibYAML takes 20 ms for ours, pure Python 150."""
    loaded = yaml.load(lock, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded.get("stages", {}) if isinstance(loaded, dict) else {}


def needed_outs(model: str, stages: Mapping[str, Any]) -> list[str]:
    """The outputs that a model's result is read from, beside the reports, as dvc.lock names them."""
    tables = ["labelled.jsonl", "labels.json", "folds.jsonl", f"scored/{model}.jsonl", f"curves/{model}.jsonl"]
    return [f"data/{name}" for name in tables] + [f"models/{kind}" for kind in model_kinds(model, stages)]


def model_kinds(model: str, stages: Mapping[str, Any]) -> list[str]:
    """The model folders that dvc.lock has of a result: the trained one and, last, the one that people serve."""
    kinds = [model] if f"train@{model}" in stages else []
    return [*kinds, SERVED[model]] if kinds and model in SERVED and EXPORT in stages else kinds


def lineage(stages: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The last stages of a model and all whose outputs they came from, as dvc.lock records them."""
    last = [f"{stage}@{model}" for stage in ("evaluate", "train", "challenge")] + [EXPORT] * (model in SERVED)
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


def digest_of(value: Any) -> str:
    """SHA-256 of a value, whatever the order of its keys."""
    return sha256(msgspec.json.encode(value, order="sorted"))
