"""A labelled table -> a model folder and its reports: the stages in a folder that goes when all is done."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core.io import Say
from pipeline.training.fit_outputs import fit_summary, plan_outputs
from pipeline.training.fit_stages import CONFIGS, FitJob


def run_fit(
    table: Path,
    themes: Path | None,
    columns: Mapping[str, str],
    rules: Path | None,
    model: str,
    encoder: Path | None,
    configs: Path | None,
    out: Path,
    report: Path | None,
    overwrite: bool,
    say: Say,
) -> None:
    """Trains a model (`tfidf` or `transformer`) on a labelled table and writes its folder `out` and its reports.

    A transformer is measured beside TF-IDF, and its compact form goes beside `out`, with -compact behind its name.
    Nothing is written before all is done.

    Raises:
        UserError: if a file is missing or broken, the table can't teach anything, or an output exists already.
    """
    outputs = plan_outputs(model, out, report, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        job = FitJob(Path(folder), table, themes, rules, configs or CONFIGS, encoder, say)
        job.label(columns)
        job.split()
        models = ["tfidf", "transformer"][: 1 + (model == "transformer")]
        for name in models:
            job.measure(name)
        job.compare(models[::-1])  # the one that was asked for against the baseline
        job.train(model)
        if model == "transformer":
            job.export()
        for made, place in outputs.items():
            shutil.rmtree(place, ignore_errors=True)
            if (job.folder / made).exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(job.folder / made, place)
        say(fit_summary(job.rows, job.folds, models, outputs))
