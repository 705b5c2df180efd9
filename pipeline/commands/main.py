"""The command line: `taqyryp COMMAND` or `python -m pipeline COMMAND`. Logs go to stderr."""

import os
import sys

import click

from pipeline.commands import classify, data, fit, models, reports
from pipeline.core.errors import UserError
from pipeline.core.inputs import is_stage, note_code

TELEMETRY_OFF = ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.version_option(package_name="taqyryp")
def cli() -> None:
    """Find themes in the paragraphs of Kazakh and Russian news.

    fit, classify, annotate, track and promote are for people; the other commands are the stages that `dvc repro` runs.
    """


for module in (classify, fit, data, models, reports):
    for value in vars(module).values():
        if isinstance(value, click.Command):
            cli.add_command(value)


def main() -> None:
    """Runs a command. What the user can mend becomes one line and exit code 1; a bug keeps its traceback.

    Libraries that report their use to their makers are asked not to; to let them, set the variable to something else.
    """
    for variable in TELEMETRY_OFF:
        os.environ.setdefault(variable, "true")
    if is_stage():
        note_code()
    try:
        cli(prog_name="taqyryp")
    except UserError as error:
        message = str(error)
    except ModuleNotFoundError as error:  # `pip install .` is enough for `classify` alone
        if error.name is None or error.name.partition(".")[0] == "pipeline":
            raise
        message = f"{error.name} is not installed; `pip install '.[pipeline]'` brings what this command needs"
    click.echo(f"taqyryp: {message}", err=True)
    sys.exit(1)
