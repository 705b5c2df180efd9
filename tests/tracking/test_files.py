"""What a run takes from the file system: DVC's cache as links, plot data as images."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from pipeline.tracking.history import link_cached
from pipeline.tracking.plots import MANY, draw_plot, worst_themes

PLOTS = {
    "precision_recall": "theme,recall,precision\na,0.5,1.0\nNA,1.0,0.5\n",
    "reliability": "model,probability,share,cells\nm,0.1,0.2,5\n",
    "risk_coverage": "slice,coverage,f1_macro,wrong\nall,0.5,,1.0\nall,1.0,0.5,0.5\n",
    "themes": "theme,slice,f1\nb,all,0.5\na,all,0.25\na,kk,1.0\n",
    "confusion": "actual,predicted\na,none\nnone,b\na,a\n",
    "loss": "epoch,training,held_out\n1,0.5,\n2,0.25,0.5\n",
}


def cached(cache: Path, digest: str, content: str) -> Path:
    path = cache / "files" / "md5" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_folder_of_the_cache_is_linked_as_far_as_it_is_there(tmp_path: Path) -> None:
    entries = [{"md5": "aaaa", "relpath": "one.json"}, {"md5": "bbbb", "relpath": "sub/two.json"}]
    cached(tmp_path, "ffff.dir", json.dumps([*entries, {"md5": "cccc", "relpath": "gone.json"}]))
    sources = [cached(tmp_path, entry["md5"], entry["md5"]) for entry in entries]
    link_cached(tmp_path, "ffff.dir", tmp_path / "out")
    targets = [tmp_path / "out" / entry["relpath"] for entry in entries]
    assert [path.stat().st_ino for path in targets] == [path.stat().st_ino for path in sources]
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == sorted(targets)
    for digest in ("", "eeee", "eeee.dir"):
        link_cached(tmp_path, digest, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", PLOTS)
def test_plot_data_become_images(name: str, tmp_path: Path) -> None:
    data = tmp_path / f"{name}.csv"
    data.write_text(PLOTS[name])
    draw_plot(data, "model-1")
    assert data.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_of_many_themes_the_worst_are_drawn(tmp_path: Path) -> None:
    themes = [f"тақырып {n}" for n in range(30)]
    lines = [f"{theme},{recall},{1 - n / 60}" for n, theme in enumerate(themes) for recall in (0.5, 1.0)]
    curves = tmp_path / "precision_recall.csv"
    curves.write_text("\n".join(["theme,recall,precision", *lines]))
    rows, left_out = worst_themes(curves.stem, pandas.read_csv(curves))
    assert (set(rows["theme"]), left_out) == (set(themes[-MANY:]), 20)
    pairs = [(theme, themes[(n + 1) % 12]) for n, theme in enumerate(themes[:12]) for _ in range(n + 1)]
    pairs += [(theme, theme) for theme in themes]
    rows, left_out = worst_themes("confusion", pandas.DataFrame(pairs, columns=["actual", "predicted"]))
    assert set(rows["actual"]) | set(rows["predicted"]) == {themes[0], *themes[3:12]}
    assert left_out == 20
    few = pandas.DataFrame({"theme": themes[:MANY], "recall": 1.0, "precision": 0.5})
    assert worst_themes("precision_recall", few)[1] == 0
    bars = tmp_path / "themes.csv"
    bars.write_text("\n".join(["theme,slice,f1", *(f"{theme},all,0.5" for theme in themes)]))
    for data in (curves, bars):
        draw_plot(data, "model-1")
        assert data.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_data_that_are_empty_or_unknown_give_no_image(tmp_path: Path) -> None:
    for name, content in (("loss", ""), ("else", "a\n1\n")):
        (tmp_path / f"{name}.csv").write_text(content)
        draw_plot(tmp_path / f"{name}.csv", "model-1")
    assert not list(tmp_path.glob("*.png"))
