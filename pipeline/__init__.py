"""taqyryp: finds themes in the paragraphs of news articles."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pipeline.inference.batch.rows import classify_records
    from pipeline.inference.classifier import Classifier

__all__ = ["Classifier", "classify_records"]

# Imported, OpenVINO reports to its maker from a process that it forks, unless the module for that is missing.
sys.modules.setdefault("openvino_telemetry", cast(Any, None))

_HOMES = {"Classifier": "pipeline.inference.classifier", "classify_records": "pipeline.inference.batch.rows"}


def __getattr__(name: str) -> Any:
    """`from pipeline import Classifier` without loading models, and all they need, for every other import."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
