"""Settings: a YAML file becomes a checked struct, or an error that names the key, the value and what was expected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import yaml

from pipeline.core.errors import UserError
from pipeline.core.io import read_bytes

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Precision = Literal["auto", "float32", "bfloat16"]
PIPELINE_SECTIONS = (
    *("encoder", "languages", "label", "split", "crossval", "decision", "evaluation", "tracking", "threads"),
)

# Keys that were called something else in earlier versions.
RENAMED_KEYS = {
    "abstain_band": "abstain_log_odds (0.25 where it was 0.05)",
    "balanced": "class_weight (balanced or null)",
    "inverse_regularisation": "C",
    "lexical": "tfidf",
    "lexical_weight": "tfidf_weight",
    "min_rows": "min_df",
    "sublinear": "sublinear_tf",
}

_T = TypeVar("_T")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: DVC writes 2e-05, which PyYAML, at YAML 1.1, takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), [*"-+.0123456789"]
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all settings: immutable, unknown keys refused, no defaults, so that the YAML file shows every value."""


def load_settings(path: Path, type_: type[_T]) -> _T:
    """A YAML file as `type_`.

    Raises:
        UserError: naming file, key, value and expectation.
    """
    try:
        data = yaml.load(read_bytes(path), _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend the file") from error
    return _converted(data, type_, path)


def _converted(data: Any, type_: type[_T], path: Path, section: str = "") -> _T:
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        key = place.strip("`").lstrip(".")
        where = ".".join(filter(None, (section, key)))
        unknown = message.partition("unknown field `")[2].rstrip("`")
        _check_renamed(path, f"{where}.{unknown}".lstrip("."))
        found = _value_at(data, key)
        value = f" (found {found!r})" if isinstance(found, str | int | float) else ""
        raise UserError(f"{path}: {where or 'top level'}: {message}{value}; mend the value or the key") from error


def _check_renamed(path: Path, key: str) -> None:
    new = RENAMED_KEYS.get(key.rpartition(".")[2])
    if new:
        raise UserError(f"{path}: {key}: is called {new} now; rename the key")


def _value_at(data: Any, key: str) -> Any:
    """The value under a path such as `encoder.name` or `seeds[0]`; None where the path can't be followed."""
    try:
        for part in re.findall(r"[^.\[\]]+", key):
            data = data[int(part) if isinstance(data, list) else part]
    except (LookupError, TypeError, ValueError):
        return None
    return data


def load_section(path: Path, section: str, type_: type[_T]) -> _T:
    """One section of configs/pipeline.yaml, checked; the others are only checked by name.

    Raises:
        UserError: if the section is missing or broken, or the file has one that nothing reads.
    """
    data = load_settings(path, dict[str, Any])
    for name in data:
        if name not in PIPELINE_SECTIONS:
            _check_renamed(path, name)
            raise UserError(f"{path}: {name}: not one of {', '.join(PIPELINE_SECTIONS)}; mend the key")
    if section not in data:
        raise UserError(f"{path}: section {section} is missing; add it")
    return _converted(data[section], type_, path, section)
