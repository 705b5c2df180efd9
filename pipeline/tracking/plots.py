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
MANY = 10
"""Of more themes than there are colours, those that a model does worst are drawn."""


def draw_plot(data: Path, title: str) -> None:
    """Draws a CSV file of reports/<model>/plots as PNG beside it; one that is empty gives no image."""
    from matplotlib.figure import Figure  # heavy, and needed only where there is a new run
    from sklearn.metrics import ConfusionMatrixDisplay

    if not data.stat().st_size:
        return
    rows = pandas.read_csv(data, keep_default_na=False, na_values=[""])  # a theme may be called "none" or "NA"
    rows, left_out = worst_themes(data.stem, rows)
    bars = rows["theme"].nunique() if data.stem == "themes" else 0
    figure = Figure(figsize=(7, max(4.5, 0.25 * bars)), layout="constrained")
    axes = figure.add_subplot()
    note = f"\nthe {MANY} worst of {MANY + left_out}" if left_out else ""
    axes.set_title(f"{data.stem.replace('_', ' ')}: {title}{note}")
    if data.stem in LINES:
        column, options = LINES[data.stem]
        for name, points in rows.dropna(subset=options["y"]).groupby(column, sort=False):
            points.plot(ax=axes, label=name, marker=".", ylim=UNIT, **options)
    elif data.stem == "themes":
        table = rows.pivot(index="theme", columns="slice", values="f1")
        table = table.reindex(index=rows["theme"].unique(), columns=rows["slice"].unique())  # pivot sorts by name
        if bars > MANY:  # lying bars, in the order of the table from the top
            table.plot.barh(ax=axes, width=0.8, xlabel="F1", ylabel="", xlim=UNIT).invert_yaxis()
        else:
            table.plot.bar(ax=axes, rot=0, width=0.8, xlabel="", ylabel="F1", ylim=UNIT)
    elif data.stem == "confusion":
        style = {"cmap": "Blues", "colorbar": False, "im_kw": {"aspect": "auto"}}
        style["xticks_rotation"] = "vertical" if left_out else "horizontal"
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


def worst_themes(plot: str, rows: pandas.DataFrame) -> tuple[pandas.DataFrame, int]:
    """The points of the `MANY` themes with the lowest curve or the most mistakes, and how many themes are left out.

    All of the points where themes are few, or the plot has other lines.
    """
    if plot == "precision_recall":
        scores = rows.groupby("theme", sort=False)["precision"].mean()
        columns = ["theme"]
    elif plot == "confusion":
        columns = ["actual", "predicted"]
        wrong = rows[rows["actual"] != rows["predicted"]]
        themes = pandas.unique(rows[columns].to_numpy().ravel())
        scores = -pandas.Series(wrong[columns].to_numpy().ravel()).value_counts().reindex(themes, fill_value=0)
    else:
        return rows, 0
    worst = scores.nsmallest(MANY).index
    return rows[rows[columns].isin(worst).all(axis=1)], max(0, len(scores) - MANY)
