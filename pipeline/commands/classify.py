"""Texts to themes with a trained model."""

import sys
from pathlib import Path
from typing import Any

import click

from pipeline.commands.options import FILE, PLACE
from pipeline.core.errors import UserError

SOME_QUARANTINED, NOTHING_CLASSIFIED, INTERRUPTED = 3, 4, 130
"""Exit codes; 1 is a user's error, 2 click's for a command line that it can't read."""
PASSED_ON = ("inputs", "out", "format", "encoding", "workers", "cache", "quarantine", "summary", "engine", "address")
"""Options that a batch takes as they are."""

TABS = {"tab": "\t", "\\t": "\t"}
"""Ways to name a delimiter that a shell makes hard to type."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=PLACE)
@click.option(
    "-o",
    "--out",
    type=PLACE,
    required=True,
    help="JSONL, CSV or Parquet by its ending; without one a folder of Parquet; - is stdout.",
)
@click.option(
    "--model",
    default="models/compact",
    help="Model folder, or where MLflow has one: models:/taqyryp@champion.",
)
@click.option(
    "--unit",
    type=click.Choice(["article", "paragraph"]),
    help="article: split each text into paragraphs. paragraph: each record is one, never split or rejected.  "
    "[default: as the model was trained; article, or paragraph where it learnt a table]",
)
@click.option(
    "--level",
    type=click.Choice(["paragraph", "article", "both"]),
    default="paragraph",
    help="A row for each paragraph, for each article, or both (articles go to OUT's name with .articles).",
)
@click.option("--format", metavar="txt|html|jsonl|csv|…", help="Of all inputs, whatever their endings.")
@click.option("--encoding", help="Of all inputs, instead of finding it out.")
@click.option("--delimiter", metavar="CHARACTER", help="Of CSV, instead of the header's own; tab is one, too.")
@click.option("--markup", type=click.Choice(["html", "text"]), help="Of the texts of records.  [default: by the first]")
@click.option("--text-field", default="text", metavar="COLUMN", help="Column with the text; a.b is b inside a.")
@click.option("--id-field", metavar="COLUMN", help="Column with the id.  [default: id, if there is one]")
@click.option("--title-field", metavar="COLUMN", help="Column with the article's title.")
@click.option("--threshold", "thresholds", multiple=True, metavar="THEME=P", help="Instead of the model's own; repeat.")
@click.option("--themes", metavar="THEME,…", help="Only these.")
@click.option("--top-k", type=int, metavar="K", help="At most the K most probable of the themes given.")
@click.option("--explain", is_flag=True, help="Add why: words that weighed, rules, nearest training paragraphs.")
@click.option("--no-text", is_flag=True, help="Leave the text out of the rows.")
@click.option("--workers", type=click.IntRange(0), help="Processes.  [default: by cores and model]")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", help="ray: the machines of a Ray cluster."
)
@click.option("--address", metavar="HOST:PORT", help="Of the Ray cluster.  [default: one on this machine alone]")
@click.option("--cache", type=FILE, help="Folder that remembers scores from run to run.")
@click.option(
    "--quarantine", type=PLACE, help="What could not be classified.  [default: OUT's name, .quarantine.jsonl]"
)
@click.option("--summary", type=PLACE, help="The counts as JSON.")
def classify(**given: Any) -> None:
    """Give themes to articles, with nothing lost.

    INPUTS are text, HTML, Markdown, JSON, JSONL, CSV, TSV, Parquet, Excel, RSS, Atom and WARC files (gz, zst, zip too),
    folders, patterns, or - for stdin.
    A run that was stopped goes on where it was when the same command is given again (with - it starts anew).

    Exit code: 0 all well, 3 some records are in the quarantine, 4 nothing was classified.

    \b
    taqyryp classify seeds/articles -o themes.jsonl
    """
    from pipeline.inference.batch.job import run_batch
    from pipeline.inference.batch.request import BatchRequest
    from pipeline.inference.batch.rows import BatchOptions
    from pipeline.inference.classifier import PredictOptions
    from pipeline.inference.readers.schema import Fields

    wanted = tuple(name.strip() for name in (given["themes"] or "").split(",") if name.strip())
    choice = PredictOptions(thresholds=_parsed(given["thresholds"]), themes=wanted, top_k=given["top_k"])
    request = BatchRequest(
        model=_folder(given["model"]),
        options=BatchOptions(
            choice=choice, text=not given["no_text"], **{name: given[name] for name in ("unit", "level", "explain")}
        ),
        fields=Fields(
            **{name: given[f"{name}_field"] for name in ("text", "id", "title")},
            markup=given["markup"],
            delimiter=TABS.get(given["delimiter"], given["delimiter"]),
        ),
        **{name: given[name] for name in PASSED_ON},
    )
    try:
        counts = run_batch(request, lambda message: click.echo(message, err=True))
    except KeyboardInterrupt:
        click.echo(f"stopped; {request.remedy}", err=True)
        sys.exit(INTERRUPTED)
    if counts.quarantined:
        sys.exit(SOME_QUARANTINED if counts.records > counts.quarantined else NOTHING_CLASSIFIED)


def _folder(model: str) -> Path:
    """The model's folder, from MLflow if a URI names it."""
    if ":/" not in model:
        return Path(model)
    from pipeline.tracking.registry import fetch_model

    return fetch_model(model)


def _parsed(thresholds: tuple[str, ...]) -> dict[str, float]:
    parsed = {}
    for entry in thresholds:
        theme, _, value = entry.partition("=")
        try:
            parsed[theme] = float(value)
        except ValueError:
            raise UserError(f"--threshold {entry}: expected THEME=P with P between 0 and 1") from None
    return parsed
