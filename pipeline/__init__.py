"""taqyryp: finds themes in the paragraphs of news articles."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.classify import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """`from pipeline import Classifier` without loading models, and all they need, for every other import."""
    if name == "Classifier":
        from pipeline.classify import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
