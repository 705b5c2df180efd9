"""A labelled table to a model, in one command."""

import signal
import sys
from typing import Any

import click

from pipeline.commands import options

INTERRUPTED = 130


def _pairs(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for entry in given:
        ours, equals, theirs = entry.partition("=")
        if not equals:
            raise click.BadParameter(f"{entry}: expected OURS=YOURS, such as themes=topic")
        pairs[ours.strip()] = theirs.strip()
    return pairs


@click.command()
@click.argument("table", type=options.FILE)
@options.path("themes", "The themes, as configs/themes.yaml has them.  [default: those of the table]", required=False)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=_pairs,
    metavar="OURS=YOURS",
    help="What the table calls text, themes, id, article, language or split; repeat.",
)
@click.option(
    "--model", type=click.Choice(["tfidf", "transformer"]), default="tfidf", help="tfidf takes seconds, and no GPU."
)
@click.option("-o", "--out", type=options.FILE, required=True, help="Model folder to write, for `classify --model`.")
@options.path("report", "Folder for figures and mistakes.  [default: OUT's name with -report]", required=False)
@options.path("rules", "Labelling rules (YAML), for rows without themes and beside them.", required=False)
@options.path("configs", "Folder with settings (YAML) in place of those that come along.", required=False)
@options.path(
    "encoder", "Folder of the pretrained encoder.  [default: models/encoder, or made for this run]", required=False
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier model and its report.")
def fit(**given: Any) -> None:
    """Train a model on TABLE (CSV, TSV, JSONL) with the columns text and themes, and say how good it is.

    Themes are separated by `;`. id, article (rows that belong together), language and split (train, dev, test) may be
    there, too, in any case. With --model transformer its compact form goes to OUT's name with -compact.
    Outputs appear whole, at the end; a run that was stopped starts anew.

    \b
    taqyryp fit my.csv -o my-model
    taqyryp fit my.csv --column themes=topic --model transformer -o my-model
    """
    from pipeline.training.fit import run_fit

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its work folder, a GB with an encoder, goes then, too
    try:
        run_fit(**given, say=options.say)
    except KeyboardInterrupt:
        options.say("stopped; the same command starts anew")
        sys.exit(INTERRUPTED)
