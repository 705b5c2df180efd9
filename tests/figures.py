"""Whether `make repro` has made the figures of the last commit, as far as processors agree: `python -m tests.figures`.

What is computed alike everywhere has to be equal as printed. What seeds move (the transformer) may be off by its spread
over them. Every verdict between two models has to stay.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPORTS = Path("reports")
PRINTED = 0.001
"""Two figures that differ by less are printed alike, or one digit apart at the last place."""


def differences(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """A line for each figure of reports/metrics.json that is not what the commit says."""
    for model, figures in committed.items():
        spread = figures["f1_macro_seed_std"]
        for name in ["f1_macro"] if spread else figures:
            old, new = figures[name], made.get(model, {}).get(name)
            if new is None or abs(new - old) > (spread or PRINTED):
                yield f"{model} {name}: {old} committed, {new} here" + (f" (± {spread} over seeds)" if spread else "")


def changed_verdicts(committed: list[dict[str, Any]], made: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each pair of models that reports/verdicts.json judges otherwise than the commit."""
    found = {(row["first"], row["second"]): row["verdict"] for row in made}
    for row in committed:
        new = found.get((row["first"], row["second"]))
        if new != row["verdict"]:
            yield f"{row['first']} against {row['second']}: {row['verdict']} committed, {new} here"


def main() -> int:
    """Prints what differs, or that nothing does; 1 if something does."""
    lines = []
    for file, compare in (("metrics.json", differences), ("verdicts.json", changed_verdicts)):
        committed = subprocess.run(["git", "show", f"HEAD:./reports/{file}"], capture_output=True, check=True).stdout
        lines += compare(json.loads(committed), json.loads((REPORTS / file).read_text()))
    sys.stdout.write("\n".join(lines or ["figures and verdicts as committed"]) + "\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
