"""Articles to training rows: paragraphs, label, split, and annotate for people."""

from typing import Any

import click

from pipeline.commands import options

# Modules are imported inside each command, so that a stage loads, and depends on, only what it runs.


@click.command()
@options.path("articles", "Folder of .txt files, one for each article.")
@options.boilerplate
@options.settings
@options.path("out", "Kept paragraphs (JSONL).")
@options.path("rejected", "Rejected lines with reasons (JSONL).")
@options.path("report", "Counts by article and reason (JSON).")
def paragraphs(**given: Any) -> None:
    """Split articles into paragraphs; reject boilerplate with a reason.

    \b
    taqyryp paragraphs --articles seeds/articles --boilerplate configs/boilerplate.yaml \\
        --settings configs/pipeline.yaml \\
        --out data/paragraphs.jsonl --rejected data/rejected.jsonl --report reports/paragraphs.json
    """
    from pipeline.text.articles import run_paragraphs

    run_paragraphs(**given, say=options.say)


@click.command()
@options.path("paragraphs", "Kept paragraphs (JSONL).", required=False)
@options.path("annotations", "What was annotated by hand (JSONL).", required=False)
@options.path("exemplars", "Paragraphs written for training (JSONL).", required=False)
@options.path("challenge", "Paragraphs written to be hard, which no exemplar may resemble (JSONL).", required=False)
@options.path("table", "Instead of paragraphs and annotations: a labelled table (JSONL, CSV, TSV).", required=False)
@options.themes
@options.path("rules", "Labelling rules (YAML).")
@options.settings
@options.path("out", "Training rows (JSONL).")
@options.labels
@options.path("report", "What labelled the rows (JSON).")
def label(**given: Any) -> None:
    """Give every paragraph its themes: gold where annotated, otherwise what the rules say.

    \b
    taqyryp label --paragraphs data/paragraphs.jsonl --annotations seeds/annotations.jsonl \\
        --exemplars seeds/exemplars.jsonl --challenge seeds/challenge.jsonl \\
        --themes configs/themes.yaml --rules configs/rules.yaml --settings configs/pipeline.yaml \\
        --out data/labelled.jsonl --labels data/labels.json --report reports/labelling.json
    """
    from pipeline.labelling.label import run_label

    sources = [name for name in ("table", "paragraphs", "annotations") if given[name] is not None]
    if sources not in (["table"], ["paragraphs", "annotations"]):
        raise click.UsageError("give --table alone, or --paragraphs and --annotations")
    run_label(**given, say=options.say)


@click.command()
@options.labelled
@options.settings
@options.path("out", "In which fold each article is held out (JSONL).")
def split(**given: Any) -> None:
    """Assign whole articles to folds; a split that the rows bring is respected.

    \b
    taqyryp split --labelled data/labelled.jsonl --settings configs/pipeline.yaml --out data/folds.jsonl
    """
    from pipeline.labelling.folds import run_split

    run_split(**given)


@click.command()
@click.argument("article", type=options.FILE)
@options.path("annotations", "What is annotated already (JSONL).", default="seeds/annotations.jsonl")
@options.path("themes", "The themes (YAML).", default="configs/themes.yaml")
@options.path("rules", "Rules that suggest themes (YAML).", default="configs/rules.yaml")
@options.path("boilerplate", "What boilerplate looks like (YAML).", default="configs/boilerplate.yaml")
def annotate(**given: Any) -> None:
    """Print a row to fill in for each paragraph of ARTICLE with themes that nobody was asked about yet.

    `suggested` is what the rules say: read the paragraph first. Put a list in place of `themes: null`.

    \b
    taqyryp annotate seeds/articles/005.txt >> seeds/annotations.jsonl
    """
    from pipeline.core.io import write_stdout
    from pipeline.labelling.annotations import rows_to_annotate

    write_stdout(rows_to_annotate(**given, say=options.say))
