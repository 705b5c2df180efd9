"""The committed figures against floors, which belong to the data that they were measured on.

    pytest tests/test_floors.py --set-floors

writes tests/floors.json anew from the reports, lower ones included: the diff then shows what was given up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FLOORS = ROOT / "tests/floors.json"
TOLERANCE = 0.02
"""What another machine's arithmetic may cost: at most one paragraph of a rare theme on gold."""
DATA = ("data/labelled.jsonl", "seeds/challenge.jsonl")


def digests(lock: Path) -> dict[str, str]:
    """The digests, by dvc.lock, of the data behind the committed reports."""
    stages = yaml.safe_load(lock.read_text())["stages"].values()
    found = {dep["path"]: dep["md5"] for stage in stages for dep in stage.get("deps", []) if dep["path"] in DATA}
    return dict(sorted(found.items()))


def figures(reports: Path) -> dict[str, float]:
    """Macro-F1 by model and language, out of fold and on the challenge set, with the F1 of each theme."""
    out: dict[str, float] = {}
    files = {f"gold/{m}": reports / m / "scores.json" for m in ("rules", "tfidf", "transformer")}
    files |= {f"challenge/{m}": reports / "challenge" / m / "dev.json" for m in ("tfidf", "transformer")}
    for name, path in files.items():
        report: dict[str, Any] = json.loads(path.read_text())
        out[f"{name}/f1_macro"] = report["figures"]["f1_macro"]
        out |= {f"{name}/f1_macro/{lang}": values["f1_macro"] for lang, values in report["languages"].items()}
        out |= {f"{name}/{key}": value for key, value in report["figures"].items() if key.startswith("f1/")}
    return out


def below(floors: dict[str, float], found: dict[str, float]) -> list[str]:
    """What fell under its floor by more than the tolerance, or is gone."""
    return [
        f"{name}: {found.get(name)} < {floor}"
        for name, floor in floors.items()
        if found.get(name, 0) < floor - TOLERANCE
    ]


def test_no_figure_falls_below_its_floor(pytestconfig: pytest.Config) -> None:
    now = {"data": digests(ROOT / "dvc.lock"), "floors": figures(ROOT / "reports")}
    if pytestconfig.getoption("--set-floors"):
        FLOORS.write_text(json.dumps(now, indent=1) + "\n")
    pinned = json.loads(FLOORS.read_text())
    assert now["data"] == pinned["data"], "other data than the floors': look at the figures, then use --set-floors"
    assert not below(pinned["floors"], now["floors"])


def test_a_lower_figure_is_seen() -> None:
    assert below({"a": 0.8, "b": 0.5}, {"a": 0.77, "b": 0.49}) == ["a: 0.77 < 0.8"]
    assert below({"a": 0.8}, {}) == ["a: None < 0.8"]
