"""The command line: `taqyryp COMMAND` or `python -m pipeline COMMAND`. A skin over the package; logs go to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import click

from pipeline.commands.stages import FILE, STAGES
from pipeline.core.errors import UserError

TELEMETRY_OFF = ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")
SOME_QUARANTINED, NOTHING_CLASSIFIED, INTERRUPTED = 3, 4, 130
"""Exit codes of `classify`; 1 is a user's error, 2 click's for a command line that it can't read."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="taqyryp")
def cli() -> None:
    """Find themes in the paragraphs of Kazakh and Russian news.

    classify, annotate, track and promote are for people; the other commands are the stages that `dvc repro` runs.
    """


@cli.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="JSONL, CSV or Parquet by its ending; - is stdout.")
@click.option(
    "--model",
    default="models/transformer",
    show_default=True,
    help="Model folder, or where MLflow has one: models:/taqyryp@champion.",
)
@click.option(
    "--unit",
    type=click.Choice(["article", "paragraph"]),
    default="article",
    show_default=True,
    help="article: split each text as training did. paragraph: each record is one, never split or rejected.",
)
@click.option(
    "--level",
    type=click.Choice(["paragraph", "article", "both"]),
    default="paragraph",
    show_default=True,
    help="A row a paragraph, a row an article, or both (articles go to OUT's name with .articles).",
)
@click.option(
    "--format",
    "format_",
    metavar="txt|html|jsonl|csv|tsv|parquet",
    help="Of all inputs, whatever their endings.",
)
@click.option("--encoding", help="Of all inputs, instead of finding it out.")
@click.option("--text-field", default="text", show_default=True, metavar="COLUMN", help="Column with the text.")
@click.option("--id-field", metavar="COLUMN", help="Column with the id.  [default: id, if there is one]")
@click.option("--title-field", metavar="COLUMN", help="Column with the article's title.")
@click.option("--threshold", "thresholds", multiple=True, metavar="THEME=P", help="Instead of the model's own; repeat.")
@click.option("--themes", metavar="THEME,…", default="", help="Only these.")
@click.option("--top-k", type=int, metavar="K", help="At most the K most probable of the themes given.")
@click.option("--explain", is_flag=True, help="Add why: words that weighed, rules, nearest training paragraphs.")
@click.option("--no-text", is_flag=True, help="Leave the text out of the rows.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes.  [default: by cores and model]")
@click.option("--cache", type=FILE, help="Folder that remembers scores from run to run.")
@click.option("--quarantine", type=FILE, help="What could not be classified.  [default: OUT's name, .quarantine.jsonl]")
@click.option("--summary", type=FILE, help="The counts as JSON.")
def classify(
    inputs: tuple[Path, ...],
    out: Path,
    model: str,
    unit: Literal["article", "paragraph"],
    level: Literal["paragraph", "article", "both"],
    format_: str | None,
    encoding: str | None,
    text_field: str,
    id_field: str | None,
    title_field: str | None,
    thresholds: tuple[str, ...],
    themes: str,
    top_k: int | None,
    explain: bool,
    no_text: bool,
    workers: int,
    cache: Path | None,
    quarantine: Path | None,
    summary: Path | None,
) -> None:
    """Give themes to articles, with nothing lost.

    INPUTS are text, HTML, JSONL, CSV, TSV and Parquet files (gz, zst, zip too), folders, patterns, or - for stdin.
    A run that was stopped goes on where it was when the same command is given again (with - it starts anew).

    Exit code: 0 all well, 3 some records are in the quarantine, 4 nothing was classified.

    \b
    taqyryp classify seeds/articles --model models/tfidf -o themes.jsonl
    """
    from pipeline.inference.batch.job import BatchRequest, run_batch
    from pipeline.inference.batch.rows import BatchOptions
    from pipeline.inference.classifier import PredictOptions
    from pipeline.inference.readers.schema import Fields

    wanted = tuple(name.strip() for name in themes.split(",") if name.strip())
    request = BatchRequest(
        inputs=inputs,
        out=out,
        model=_folder(model),
        options=BatchOptions(
            unit=unit,
            level=level,
            choice=PredictOptions(thresholds=_parsed(thresholds), themes=wanted, top_k=top_k),
            text=not no_text,
            explain=explain,
        ),
        fields=Fields(text_field, id_field, title_field),
        format=format_,
        encoding=encoding,
        workers=workers,
        cache=cache,
        quarantine=quarantine,
        summary=summary,
    )
    try:
        tally = run_batch(request, lambda message: click.echo(message, err=True))
    except KeyboardInterrupt:
        click.echo(f"stopped; {request.remedy}", err=True)
        sys.exit(INTERRUPTED)
    if tally.quarantined:
        sys.exit(SOME_QUARANTINED if tally.records > tally.quarantined else NOTHING_CLASSIFIED)


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


@cli.command()
@click.argument("article", type=FILE)
@click.option(
    "--annotations",
    type=FILE,
    default=Path("seeds/annotations.jsonl"),
    show_default=True,
    help="What is annotated already.",
)
@click.option("--themes", type=FILE, default=Path("configs/themes.yaml"), show_default=True, help="The themes (YAML).")
@click.option(
    "--rules", type=FILE, default=Path("configs/rules.yaml"), show_default=True, help="Rules that suggest (YAML)."
)
@click.option(
    "--boilerplate",
    type=FILE,
    default=Path("configs/boilerplate.yaml"),
    show_default=True,
    help="What boilerplate looks like (YAML).",
)
def annotate(article: Path, annotations: Path, themes: Path, rules: Path, boilerplate: Path) -> None:
    """Print a row to fill in for each paragraph of ARTICLE with themes that nobody was asked about yet.

    `suggested` is what the rules say: read the paragraph first. Put a list in place of `themes: null`.

    \b
    taqyryp annotate seeds/articles/005.txt >> seeds/annotations.jsonl
    """
    from pipeline.core.io import write_stdout
    from pipeline.core.settings import load_settings
    from pipeline.labelling import annotations as core
    from pipeline.labelling.rules import LabellingRules, RuleSettings
    from pipeline.labelling.themes import ThemeSettings, read_labels
    from pipeline.text.articles import read_article
    from pipeline.text.boilerplate import Boilerplate
    from pipeline.text.segment import split_article

    labels = read_labels(load_settings(themes, ThemeSettings), themes)
    paragraphs, _ = split_article(read_article(article), load_settings(boilerplate, Boilerplate))
    known = core.bind(annotations, paragraphs, labels, article.stem) if annotations.exists() else {}
    write_stdout(
        core.to_fill_in(paragraphs, known, labels, LabellingRules(load_settings(rules, RuleSettings), labels.names))
    )


@cli.command()
@click.argument("version")
@click.option(
    "--choice", type=FILE, default=Path("configs/champion.yaml"), show_default=True, help="File that keeps it."
)
def promote(version: str, choice: Path) -> None:
    """Make VERSION of the registered model the champion, and keep the choice in a file to commit.

    \b
    taqyryp promote 3
    """
    from pipeline.tracking import registry
    from pipeline.tracking.store import project_root, with_store

    click.echo(
        with_store(project_root(), lambda store: registry.promote_version(store, version, choice), seconds=60), err=True
    )


for stage in STAGES:
    cli.add_command(stage)


def main() -> None:
    """Runs a command. What the user can mend becomes one line and exit code 1; a bug keeps its traceback.

    Libraries that report their use to their makers are asked not to; who wants it sets the variable to something else.
    """
    for name in TELEMETRY_OFF:
        os.environ.setdefault(name, "true")
    try:
        cli(prog_name="taqyryp")
    except UserError as error:
        click.echo(f"taqyryp: {error}", err=True)
        sys.exit(1)
