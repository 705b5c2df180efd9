"""Options that several commands share, each said once; a command hands all of its own to a room's function by name."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)
say = partial(click.echo, err=True)


class Place(click.ParamType[Path]):
    """A path, or an address in an object store."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; one of a store behaves like one."""
        from pipeline.core.storage import located

        return located(value) if isinstance(value, str) else value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files are completed."""
        return FILE.shell_complete(ctx, param, incomplete)


PLACE = Place()


def path(name: str, text: str, *, required: bool = True, default: str | None = None) -> Callable[[F], F]:
    """An option that names a file or a folder; a default lies in the checkout, whatever the current folder."""
    # A default of None is not handed on: to click it is a value, and nothing would be missing.
    given: dict[str, Any] = {}
    if default is not None:
        given = {"default": partial(_in_checkout, default), "show_default": default}
    return click.option(f"--{name}", type=FILE, required=required and default is None, help=text, **given)


def _in_checkout(name: str) -> Path:
    from pipeline.tracking import checkout

    return Path(os.path.relpath(checkout() / name))


boilerplate = path("boilerplate", "What boilerplate looks like (YAML).")
challenge = path("challenge", "Paragraphs written to be hard, for scoring models only (JSONL).")
config = path("config", "The model's own configuration (YAML).")
encoder = path("encoder", "Folder of the pretrained encoder, for models that use one.", required=False)
folds = path("folds", "In which fold each article is held out (JSONL).")
labelled = path("labelled", "Training rows (JSONL).")
labels = path("labels", "The label set (JSON).")
model_name = click.option("--model", required=True, help="majority, rules, zeroshot, tfidf or transformer.")
model_out = path("out", "Model folder to write.")
scores = path("scores", "Out-of-fold probabilities (JSONL).")
settings = path("settings", "configs/pipeline.yaml or a file like it.")
themes = path("themes", "configs/themes.yaml or a file like it.")
thresholds = path("thresholds", "The threshold of each theme (JSON).")
