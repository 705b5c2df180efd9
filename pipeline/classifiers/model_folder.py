"""The folder that a trained model lives in: complete in itself, checked before it is trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from pipeline.classifiers.base import TextClassifier, model_class
from pipeline.classifiers.decision import MOST_UNDECIDED
from pipeline.core.arrays import targets_and_weights
from pipeline.core.errors import MissingPackageError, UserError
from pipeline.core.io import atomic_folder, read_json, write_json, write_text
from pipeline.core.manifest import check_manifest, write_manifest
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels, Record
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.normalize import TEXT_VERSION


class ModelInfo(Record, frozen=True, omit_defaults=True):
    """What the manifest says of a model.

    `label_rates` are the shares of training rows with each theme, `languages` those of the rows, `told_among` those
    that a text's own is told among, `hardware` the device and precision of training. Themes with too little to learn
    from are `unlearnt`: it never gives them. `scarce` says why, and of themes that it may have learnt and nobody can
    measure.
    """

    model: str
    labels: Labels
    thresholds: dict[str, float]
    abstain_log_odds: float
    text_version: int
    threads: int
    training_rows: int
    training_digest: str
    label_rates: dict[str, float]
    languages: tuple[str, ...]
    told_among: tuple[str, ...]
    hardware: dict[str, str]
    versions: dict[str, str]
    unlearnt: tuple[str, ...] = ()
    scarce: dict[str, str] = {}


def save_model_folder(
    folder: Path, model: TextClassifier, facts: ModelInfo, boilerplate: Boilerplate, *more: Callable[[Path], None]
) -> None:
    """Writes model, boilerplate list, card, what functions add to it and, last, the manifest: whole or not at all."""
    with atomic_folder(folder) as temporary:
        model.save(temporary)
        for write in more:
            write(temporary)
        write_json(temporary / "boilerplate.json", boilerplate)
        write_text(temporary / "README.md", model_card(facts))
        write_manifest(temporary, "model", msgspec.to_builtins(facts))


def inspect_model_folder(folder: Path) -> tuple[ModelInfo, str]:
    """What a folder holds, all its files checked, and a name such as `tfidf-1a2b3c4d`, which changes with any byte.

    Raises:
        UserError: if the folder is missing, damaged, or made by another version of the text preparation.
    """
    manifest = check_manifest(folder, "model")
    try:
        facts = msgspec.convert(manifest.facts, ModelInfo)
    except msgspec.ValidationError as error:
        raise _of_another_version(folder, error) from error
    if facts.text_version != TEXT_VERSION:
        raise UserError(
            f"{folder}: made for text preparation {facts.text_version}, this is {TEXT_VERSION}; train the model again"
        )
    return facts, f"{facts.model}-{manifest.digest[:8]}"


def load_model_folder(folder: Path, facts: ModelInfo, threads: int | None = None) -> tuple[TextClassifier, Boilerplate]:
    """Model and boilerplate list of a folder that `inspect_model_folder` has checked and says `facts` of.

    `threads` to compute with are by default those of training.

    Raises:
        UserError: if the folder was made by another version of this project.
    """
    try:
        # The list's patterns take .2 s to compile, in which the model reads its weights.
        with ThreadPoolExecutor() as pool:
            boilerplate = pool.submit(read_json, folder / "boilerplate.json", Boilerplate)
            model = model_class(facts.model).load(folder, facts.labels, threads or facts.threads)
            return model, boilerplate.result()
    except MissingPackageError:
        raise
    # Every digest is right, so a file that is missing or can't be read was written by code that wrote others.
    except (UserError, FileNotFoundError, KeyError) as error:
        raise _of_another_version(folder, error) from error


def _of_another_version(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"{folder}: made by another version of this project ({error}); train the model again, "
        "or name another version of the registered model"
    )


def package_versions() -> dict[str, str]:
    """The packages whose change may change an answer."""
    return {name: version(name) for name in ("numpy", "scikit-learn", "torch", "transformers")}


def label_rates(rows: Sequence[LabelledRow], labels: Labels) -> dict[str, float]:
    """The weighted share of training rows with each theme, 0 for one that no row knows."""
    targets, weights = targets_and_weights(rows)
    positive, total = (targets * weights).sum(axis=0), weights.sum(axis=0)
    shares = np.divide(positive, total, out=np.zeros_like(total), where=total > 0)
    return {name: round(share, 4) for name, share in zip(labels.names, shares.tolist(), strict=True)}


def model_card(facts: ModelInfo) -> str:
    """The folder's README."""
    table, decision = _single_label_table(facts) if facts.labels.task == SINGLE_LABEL else _threshold_table(facts)
    never = dict.fromkeys(facts.unlearnt, ", so it is never given")
    scarce = "".join(f"\n{name} {why}{never.get(name, '')}.\n" for name, why in facts.scarce.items())
    learnt = {"article": "paragraph of an article", "paragraph": "whole record, as the rows of its table were,"}
    return f"""# {facts.model}: themes of texts

Takes a {learnt[facts.labels.unit]} and gives a probability per theme. {facts.labels.task}, trained on
{facts.training_rows} rows (digest {facts.training_digest[:16]}).

{table}

{decision}
{scarce}
```python
from pipeline import Classifier

Classifier.load("models/{facts.model}")("…")
```

How good it is, and when not to use it: docs/model-card.md of the project and reports/{facts.model}/.
"""


def _threshold_table(facts: ModelInfo) -> tuple[str, str]:
    rows = "".join(
        f"\n| {name} | {'–' if name in facts.unlearnt else f'{facts.thresholds.get(name, 0.0):.3f}'} | {rate:.1%} |"
        for name, rate in facts.label_rates.items()
    )
    return (
        f"| theme | threshold | share of training rows |\n| --- | ---: | ---: |{rows}",
        f"A theme is given at or over its threshold. One that lies below it by at most {facts.abstain_log_odds} in "
        f"log-odds is\nundecided; of these the {MOST_UNDECIDED} nearest are named.",
    )


def _single_label_table(facts: ModelInfo) -> tuple[str, str]:
    rows = "".join(f"\n| {name} | {rate:.1%} |" for name, rate in facts.label_rates.items())
    return (
        f"| theme | share of training rows |\n| --- | ---: |{rows}",
        f"The most probable theme is given. One that lies below it by at most {facts.abstain_log_odds} in log-odds is\n"
        f"undecided; of these the {MOST_UNDECIDED} nearest are named.",
    )
