"""A report's plot data -> pictures for MLflow, which shows images but draws no CSV file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure

Rows = list[dict[str, str]]


def draw_figures(data: Path, target: Path, title: str) -> None:
    """Draws a CSV file of reports/<model>/plots as PNG; one that is empty or unknown gives no picture."""
    with data.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    painter = PAINTERS.get(data.stem)
    if painter and rows:
        figure = matplotlib.figure.Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(f"{data.stem.replace('_', ' ')}: {title}")
        painter(axes, rows)
        figure.savefig(target, dpi=110)


def _lines(axes: Any, rows: Rows) -> None:
    for theme in dict.fromkeys(row["theme"] for row in rows):
        here = [row for row in rows if row["theme"] == theme]
        axes.plot([float(r["recall"]) for r in here], [float(r["precision"]) for r in here], marker=".", label=theme)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend()


def _reliability(axes: Any, rows: Rows) -> None:
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfect")
    shares = [float(row["share"]) for row in rows]
    axes.plot([float(row["probability"]) for row in rows], shares, marker="o", label="model")
    axes.set(xlabel="mean probability of the bin", ylabel="share of positives", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend()


def _risk(axes: Any, rows: Rows) -> None:
    for name in dict.fromkeys(row["slice"] for row in rows):
        here = [row for row in rows if row["slice"] == name and row["f1_macro"]]
        axes.plot([float(r["coverage"]) for r in here], [float(r["f1_macro"]) for r in here], marker=".", label=name)
    axes.set(xlabel="share of paragraphs answered, the surest first", ylabel="macro-F1 on them", ylim=(0, 1.02))
    axes.legend()


def _bars(axes: Any, rows: Rows) -> None:
    themes = list(dict.fromkeys(row["theme"] for row in rows))
    slices = list(dict.fromkeys(row["slice"] for row in rows))
    for number, name in enumerate(slices):
        values = {row["theme"]: float(row["f1"]) for row in rows if row["slice"] == name}
        places = [at + (number - (len(slices) - 1) / 2) * 0.8 / len(slices) for at in range(len(themes))]
        axes.bar(places, [values.get(theme, 0.0) for theme in themes], 0.75 / len(slices), label=name)
    axes.set(ylabel="F1", ylim=(0, 1.02), xticks=range(len(themes)), xticklabels=themes)
    axes.legend()


def _confusion(axes: Any, rows: Rows) -> None:
    names = sorted({row["actual"] for row in rows} | {row["predicted"] for row in rows})
    counts = [[sum(r["actual"] == a and r["predicted"] == p for r in rows) for p in names] for a in names]
    dark = max(map(max, counts)) / 2
    axes.imshow(counts, cmap="Blues", aspect="auto")
    for y, line in enumerate(counts):
        for x, count in enumerate(line):
            axes.text(x, y, count, ha="center", va="center", color="white" if count > dark else "black")
    axes.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    axes.set(xlabel="given", ylabel="in gold")


def _loss(axes: Any, rows: Rows) -> None:
    epochs = [int(row["epoch"]) for row in rows]
    for name in ("training", "held_out"):
        losses = [float(row[name]) if row[name] else float("nan") for row in rows]
        axes.plot(epochs, losses, marker="o", label=name.replace("_", " "))
    axes.set(xlabel="epoch", ylabel="loss", xticks=epochs, ylim=(0, None))
    axes.legend()


PAINTERS: dict[str, Callable[[Any, Rows], None]] = {
    "precision_recall": _lines,
    "reliability": _reliability,
    "risk_coverage": _risk,
    "themes": _bars,
    "confusion": _confusion,
    "loss": _loss,
}
