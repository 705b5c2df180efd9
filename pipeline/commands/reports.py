"""Scores to reports, and reports to MLflow: evaluate, compare, challenge, track, and promote for people."""

from typing import Any

import click

from pipeline.commands import options

champion_file = options.path(
    "choice", "The champion that was chosen by hand (YAML); need not exist.", default="configs/champion.yaml"
)


@click.command()
@options.model_name
@options.labelled
@options.labels
@options.folds
@options.scores
@options.path("curves", "Loss by epoch (JSONL).")
@options.settings
@options.path("scored", "Gold rows with scores and decisions, for comparing models (JSONL).")
@options.path("out", "Folder for figures, plot data and the worst mistakes.")
@options.path("metrics", "At most 20 headline figures, under the model's name (JSON).", required=False)
def evaluate(**given: Any) -> None:
    """Measure a model's out-of-fold probabilities against gold.

    \b
    taqyryp evaluate --model tfidf --labelled data/labelled.jsonl --labels data/labels.json --folds data/folds.jsonl \\
        --scores data/oof/tfidf.jsonl --curves data/curves/tfidf.jsonl \\
        --settings configs/pipeline.yaml --scored data/scored/tfidf.jsonl --out reports/tfidf
    """
    from pipeline.evaluation.evaluate import run_evaluate

    run_evaluate(**given, say=options.say)


@click.command()
@click.option("--model", "models", multiple=True, required=True, help="A model's name; repeat for each.")
@options.path("scored", "Folder of scored gold rows, <model>.jsonl for each.")
@options.path("reports", "Folder of reports, <model>/scores.json for each.")
@options.labels
@options.path("themes", "configs/themes.yaml, for the names that people see.")
@options.settings
@options.path("verdicts", "Each pair of models: better, worse or within noise (JSON).")
@options.path("table", "The comparison as a page (Markdown).")
def compare(**given: Any) -> None:
    """Say which model is better beyond noise.

    \b
    taqyryp compare --model tfidf --model transformer --scored data/scored --reports reports \\
        --labels data/labels.json --themes configs/themes.yaml --settings configs/pipeline.yaml \\
        --verdicts reports/verdicts.json --table reports/comparison.md
    """
    from pipeline.evaluation.compare import run_compare

    run_compare(**given)


@click.command()
@options.path("model", "Folder of a trained model.")
@options.challenge
@click.option("--part", type=click.Choice(["dev", "final"]), default="dev", help="final is read once.")
@options.settings
@options.path("out", "Folder for figures and mistakes.")
def challenge(**given: Any) -> None:
    """Score a trained model on paragraphs that were written to be hard.

    \b
    taqyryp challenge --model models/tfidf --challenge seeds/challenge.jsonl --settings configs/pipeline.yaml \\
        --out reports/challenge/tfidf
    """
    from pipeline.evaluation.challenge import run_challenge

    run_challenge(**given)


@click.command()
@options.path("lock", "dvc.lock: with which parameters the files were made.", default="dvc.lock")
@options.path("data", "Folder of derived tables.", default="data")
@options.path("reports", "Folder of reports, <model>/scores.json for each.", default="reports")
@options.path("models", "Folder of model folders.", default="models")
@champion_file
@options.path("settings", "configs/pipeline.yaml or a file like it.", default="configs/pipeline.yaml")
@click.option(
    "--all-experiments", is_flag=True, help="Results of every commit and experiment that the cache still holds."
)
@options.path(
    "receipt",
    "Where a stage leaves the results' digests (JSON). What goes wrong is then told, there too, and no error.",
    required=False,
)
def track(**given: Any) -> None:
    """Give each result its one run in MLflow, and its model a version; nothing is written twice.

    \b
    taqyryp track
    taqyryp track --all-experiments
    """
    from pipeline.tracking.stage import run_track

    run_track(**given, say=options.say)


@click.command()
@click.argument("documents", nargs=-1, required=True, type=options.FILE)
@options.path("reports", "Folder of reports.", default="reports")
@options.path("themes", "The themes (YAML).", default="configs/themes.yaml")
@options.path("settings", "For the level of intervals.", default="configs/pipeline.yaml")
def docs(**given: Any) -> None:
    """Write the tables and figures in DOCUMENTS anew from the reports, between their markers.

    \b
    taqyryp docs README.md docs/model-card.md seeds/README.md --reports reports
    """
    from pipeline.evaluation.documents import run_docs

    run_docs(**given)


@click.command()
@click.argument("version")
@champion_file
def promote(**given: Any) -> None:
    """Make VERSION of the registered model the champion, and keep the choice in a file to commit.

    \b
    taqyryp promote 3
    """
    from pipeline.tracking.registry import promote_version

    options.say(promote_version(**given))
