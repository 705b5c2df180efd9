"""The committed figures against floors, which belong to the data that they were measured on.

    pytest tests/test_floors.py --set-floors

writes tests/floors.json anew from the reports. If a floor would fall, by however little, it is named and nothing is
written, unless `--lower` is given too: then what falls is printed, and the diff shows what was given up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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


def below(floors: dict[str, float], found: dict[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """What fell under its floor by more than the tolerance, or is gone."""
    return [
        f"{name}: {found.get(name)} < {floor}"
        for name, floor in floors.items()
        if name not in found or found[name] < floor - tolerance
    ]


def set_floors(path: Path, now: dict[str, Any], lower: bool, say: Callable[[str], object]) -> None:
    """Writes the floors; says which fall, and without `lower` fails in place of writing them."""
    falling = below(json.loads(path.read_text())["floors"], now["floors"], tolerance=0)
    if falling and not lower:
        pytest.fail("floors would fall; look at why, then use --set-floors --lower:\n" + "\n".join(falling))
    for line in falling:
        say(f"floor lowered: {line}")
    path.write_text(json.dumps(now, indent=1) + "\n")


def test_no_figure_falls_below_its_floor(pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
    now = {"data": digests(ROOT / "dvc.lock"), "floors": figures(ROOT / "reports")}
    if pytestconfig.getoption("--set-floors"):
        with capsys.disabled():
            set_floors(FLOORS, now, pytestconfig.getoption("--lower"), pytestconfig.get_terminal_writer().line)
    pinned = json.loads(FLOORS.read_text())
    assert now["data"] == pinned["data"], "other data than the floors': look at the figures, then use --set-floors"
    assert not below(pinned["floors"], now["floors"])


def test_a_lower_figure_is_seen() -> None:
    assert below({"a": 0.8, "b": 0.5}, {"a": 0.77, "b": 0.49}) == ["a: 0.77 < 0.8"]
    assert below({"a": 0.8}, {}) == ["a: None < 0.8"]


def test_floors_fall_only_if_that_is_asked_for_and_said(tmp_path: Path) -> None:
    path, said = tmp_path / "floors.json", list[str]()
    path.write_text(json.dumps({"data": {}, "floors": {"a": 0.8, "b": 0.5, "c": 0.0}}))
    before, now = path.read_bytes(), {"data": {}, "floors": {"a": 0.7999, "b": 0.6}}
    with pytest.raises(pytest.fail.Exception, match=r"--lower:\na: 0\.7999 < 0\.8\nc: None < 0\.0$"):
        set_floors(path, now, lower=False, say=said.append)
    assert path.read_bytes() == before
    assert said == []
    set_floors(path, now, lower=True, say=said.append)
    assert json.loads(path.read_text()) == now
    assert said == ["floor lowered: a: 0.7999 < 0.8", "floor lowered: c: None < 0.0"]


def test_higher_floors_are_set_without_more_ado(tmp_path: Path) -> None:
    path, now = tmp_path / "floors.json", {"data": {}, "floors": {"a": 0.8, "b": 0.5}}
    path.write_text(json.dumps({"data": {}, "floors": {"a": 0.8}}))
    set_floors(path, now, lower=False, say=pytest.fail)
    assert json.loads(path.read_text()) == now
