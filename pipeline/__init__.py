"""taqyryp: finds themes in the paragraphs of news articles."""

import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pipeline.classify import Classifier

__all__ = ["Classifier"]

# Imported, OpenVINO reports to its maker from a process that it forks, unless the module for that is missing.
sys.modules.setdefault("openvino_telemetry", cast(Any, None))


def __getattr__(name: str) -> Any:
    """`from pipeline import Classifier` without loading models, and all they need, for every other import."""
    if name == "Classifier":
        from pipeline.classify import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
