"""The command line: `taqyryp COMMAND` or `python -m pipeline COMMAND`. A skin over the package; logs go to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.errors import UserError
from pipeline.stages import FILE, STAGES

TELEMETRY_OFF = ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")

if TYPE_CHECKING:
    from pipeline.classify import Classifier, Unit


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="taqyryp")
def cli() -> None:
    """Find themes in the paragraphs of Kazakh and Russian news.

    classify, annotate, track and promote are for people; the other commands are the stages that `dvc repro` runs.
    """


@cli.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option(
    "--unit",
    type=click.Choice(["article", "paragraph"]),
    default="article",
    show_default=True,
    help="article: split each text as training did. paragraph: each record is one, never split or rejected.",
)
@click.option(
    "--model",
    default="models/transformer",
    show_default=True,
    help="Model folder, or where MLflow has one: models:/taqyryp@champion.",
)
@click.option("--threshold", "thresholds", multiple=True, metavar="THEME=P", help="Instead of the model's own; repeat.")
@click.option("-o", "--out", type=FILE, required=True, help="JSONL to write; - for stdout.")
def classify(inputs: tuple[Path, ...], unit: str, model: str, thresholds: tuple[str, ...], out: Path) -> None:
    """Give themes to text files, folders of them, and JSONL records (`text`, optional `id` and `language`).

    \b
    taqyryp classify seeds/articles --model models/tfidf -o themes.jsonl
    """
    from pipeline.classify import Classifier
    from pipeline.storage import write_jsonl, write_stdout

    classifier = Classifier.load(_folder(model))
    units = list(_units(classifier, inputs, unit))
    results = list(classifier.classify(units, _parsed(thresholds)))
    write_stdout(results) if out == Path("-") else write_jsonl(out, results)
    counts = {
        status: sum(result.status == status for result in results) for status in sorted({r.status for r in results})
    }
    click.echo(f"{len(results)} rows: " + ", ".join(f"{n} {status}" for status, n in counts.items()), err=True)


def _folder(model: str) -> Path:
    """The model's folder, from MLflow if a URI names it."""
    if ":/" not in model:
        return Path(model)
    from pipeline.tracking.registry import fetch

    return fetch(model)


def _units(classifier: Classifier, inputs: tuple[Path, ...], unit: str) -> Iterator[Unit]:
    from pipeline.readers import read_records

    for path in inputs:
        for record in read_records(path):
            if unit == "article":
                yield from classifier.units(record.article)
            else:
                yield classifier.unit(record.article, record.language)


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
    "--furniture",
    type=FILE,
    default=Path("configs/furniture.yaml"),
    show_default=True,
    help="What page furniture looks like (YAML).",
)
def annotate(article: Path, annotations: Path, themes: Path, rules: Path, furniture: Path) -> None:
    """Print a row to fill in for each paragraph of ARTICLE with themes that nobody was asked about yet.

    `suggested` is what the rules say: read the paragraph first. Put a list in place of `themes: null`.

    \b
    taqyryp annotate seeds/articles/005.txt >> seeds/annotations.jsonl
    """
    from pipeline import annotations as core
    from pipeline.paragraphs import Furniture, split
    from pipeline.readers import read_article
    from pipeline.rules import Rules, RuleSettings
    from pipeline.settings import load
    from pipeline.storage import write_stdout
    from pipeline.themes import ThemeSettings, read_labels

    labels = read_labels(load(themes, ThemeSettings), themes)
    paragraphs, _ = split(read_article(article), load(furniture, Furniture))
    known = core.bind_article(annotations, article.stem, paragraphs, labels) if annotations.exists() else {}
    write_stdout(core.to_fill_in(paragraphs, known, labels, Rules(load(rules, RuleSettings), labels.names)))


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

    click.echo(with_store(project_root(), lambda store: registry.promote(store, version, choice), seconds=60), err=True)


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
