"""What the tools around the models cost: a reproduction with nothing to do, tracking with nothing new, each --help.

python benchmarks/overhead.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
ROUNDS = 5


def seconds(line: Sequence[str], rounds: int = ROUNDS) -> list[float]:
    """Of a command, from start to end, each round."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(line, check=True, capture_output=True, cwd=ROOT)
        found.append(time.perf_counter() - began)
    return found


def commands() -> list[str]:
    """Those of `taqyryp`."""
    from pipeline.commands.main import cli

    return sorted(cli.commands)


def measured() -> dict[str, list[float]]:
    """Each command's rounds."""
    python = [sys.executable, "-m", "pipeline"]
    found = {
        "`python -c pass`": seconds([sys.executable, "-c", "pass"]),
        "`dvc repro`, nothing to do": seconds(["dvc", "repro"]),
        "`taqyryp track`, nothing new": seconds([*python, "track"], 3),
    }
    helps = {name: seconds([*python, name, "--help"], 3) for name in commands()}
    slowest = max(helps, key=lambda name: statistics.median(helps[name]))
    return found | {f"`taqyryp {slowest} --help`, the slowest of {len(helps)}": helps[slowest]}


def table(found: dict[str, list[float]]) -> str:
    """Median and range."""
    lines = ["| command | seconds | range |", "| --- | ---: | ---: |"]
    for name, rounds in found.items():
        lines.append(f"| {name} | {statistics.median(rounds):.2f} | {min(rounds):.2f} … {max(rounds):.2f} |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Prints the table."""
    click.echo(table(measured()))


if __name__ == "__main__":
    main()
