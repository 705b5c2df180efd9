"""Whether `make repro` has made the figures of the last commit, as far as processors agree: `python -m tests.figures`.

What is computed alike everywhere has to be equal as printed. What seeds move (the transformer) may be off by its spread
over them. Every verdict between two models has to stay. With `--other-kernels` it first runs the pipeline in a clone by
the kernels of a lesser processor, and compares there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

METRICS, VERDICTS = "reports/metrics", "reports/verdicts.json"
PRINTED = 0.001
"""Two figures that differ by less are printed alike, or one digit apart at the last place."""
OTHER_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",  # below that OpenVINO fails on a processor that has more
    "OPENBLAS_CORETYPE": "Haswell",
}
"""What makes torch and OpenBLAS compute as with AVX2 alone, and oneDNN and OpenVINO as without bfloat16 and VNNI."""

Read = Callable[[str], bytes]


def read_figures(read: Read, models: list[str]) -> dict[str, Any]:
    """The figures of models by their names; `read` gives a file's bytes."""
    return {model: json.loads(read(f"{METRICS}/{model}.json"))[model] for model in models}


def differences(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """A line for each figure of reports/metrics that is not what the commit says."""
    for model, figures in committed.items():
        spread = figures["f1_macro_seed_std"]
        for name in ["f1_macro"] if spread else figures:
            old, new = figures[name], made.get(model, {}).get(name)
            if not _alike(old, new, spread or PRINTED):
                yield f"{model} {name}: {old} committed, {new} here" + (f" (± {spread} over seeds)" if spread else "")


def _alike(old: Any, new: Any, tolerance: float) -> bool:
    numbers = isinstance(old, float) and isinstance(new, float)
    return abs(new - old) <= tolerance if numbers else old == new


def changed_verdicts(committed: list[dict[str, Any]], made: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each pair of models that reports/verdicts.json judges otherwise than the commit."""
    found = {(row["first"], row["second"]): row["verdict"] for row in made}
    for row in committed:
        new = found.get((row["first"], row["second"]))
        if new != row["verdict"]:
            yield f"{row['first']} against {row['second']}: {row['verdict']} committed, {new} here"


def compared(checkout: Path) -> list[str]:
    """What a checkout's reports say otherwise than its last commit."""

    def committed(name: str) -> bytes:
        return subprocess.run(["git", "show", f"HEAD:{name}"], cwd=checkout, capture_output=True, check=True).stdout

    def made(name: str) -> bytes:
        return (checkout / name).read_bytes()

    models = sorted(path.stem for path in (checkout / METRICS).glob("*.json"))
    lines = [*differences(read_figures(committed, models), read_figures(made, models))]
    return [*lines, *changed_verdicts(json.loads(committed(VERDICTS)), json.loads(made(VERDICTS)))]


def main() -> int:
    """Prints what differs, or that nothing does; 1 if something does."""
    if "--other-kernels" in sys.argv:
        with TemporaryDirectory() as folder:
            subprocess.run(["git", "clone", "-q", ".", folder], check=True)
            subprocess.run(["dvc", "repro"], check=True, cwd=folder, env=os.environ | OTHER_KERNELS)
            lines = compared(Path(folder))
    else:
        lines = compared(Path())
    sys.stdout.write("\n".join(lines or ["figures and verdicts as committed"]) + "\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
