"""A report's plot data -> images for MLflow, which shows images but draws no CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas

UNIT = (0, 1.02)
"""The range of an axis of shares: a marker at 1 is seen whole."""
LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "precision_recall": ("theme", {"x": "recall", "y": "precision", "ylabel": "precision", "xlim": UNIT}),
    "reliability": ("model", {"x": "probability", "y": "share", "ylabel": "share of positives", "xlim": UNIT}),
    "risk_coverage": ("slice", {"x": "coverage", "y": "f1_macro", "ylabel": "macro-F1 on the surest"}),
}
"""Plots with a line for each value of a column, and how pandas draws them."""


def draw_plot(data: Path, title: str) -> None:
    """Draws a CSV file of reports/<model>/plots as PNG beside it; one that is empty gives no image."""
    from matplotlib.figure import Figure  # heavy, and needed only where there is a new run
    from sklearn.metrics import ConfusionMatrixDisplay

    if not data.stat().st_size:
        return
    rows = pandas.read_csv(data, keep_default_na=False, na_values=[""])  # a theme may be called "none" or "NA"
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{data.stem.replace('_', ' ')}: {title}")
    if data.stem in LINES:
        column, options = LINES[data.stem]
        for name, points in rows.dropna(subset=options["y"]).groupby(column, sort=False):
            points.plot(ax=axes, label=name, marker=".", ylim=UNIT, **options)
    elif data.stem == "themes":
        table = rows.pivot(index="theme", columns="slice", values="f1")
        table = table.reindex(index=rows["theme"].unique(), columns=rows["slice"].unique())  # pivot sorts by name
        table.plot.bar(ax=axes, rot=0, width=0.8, xlabel="", ylabel="F1", ylim=UNIT)
    elif data.stem == "confusion":
        style = {"cmap": "Blues", "colorbar": False, "im_kw": {"aspect": "auto"}}
        ConfusionMatrixDisplay.from_predictions(rows["actual"], rows["predicted"], ax=axes, **style)
        axes.set(xlabel="given", ylabel="in gold")
    elif data.stem == "loss":
        style = {"marker": "o", "ylabel": "loss", "xticks": rows["epoch"], "ylim": (0, None)}
        rows.plot("epoch", ["training", "held_out"], ax=axes, **style)
    else:
        return
    if data.stem == "reliability":
        axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfect")
        axes.legend()
    figure.savefig(data.with_suffix(".png"), dpi=110)
