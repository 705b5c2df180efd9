"""Settings: a YAML file becomes a checked struct, or an error that names the key, the value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import yaml

from pipeline.core.errors import UserError
from pipeline.core.io import read_bytes

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Precision = Literal["auto", "float32", "bfloat16"]
PIPELINE_SECTIONS = ("encoder", "label", "split", "crossval", "decision", "evaluation", "tracking", "threads")

T = TypeVar("T")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all settings: immutable, unknown keys refused, no defaults, so that the YAML file shows every value."""


def load_settings(path: Path, type_: type[T]) -> T:
    """A YAML file as `type_`.

    Raises:
        UserError: naming file, key, value and expectation.
    """
    try:
        data = yaml.safe_load(read_bytes(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend the file") from error
    return _converted(data, type_, path)


def _converted(data: Any, type_: type[T], path: Path, section: str = "") -> T:
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        key = place.strip("`").lstrip(".")
        found = data if not key else _at(data, key)
        value = f" (found {found!r})" if isinstance(found, str | int | float) else ""
        where = ".".join(filter(None, (section, key))) or "top level"
        raise UserError(f"{path}: {where}: {message}{value}; mend the value or the key") from error


def _at(data: Any, key: str) -> Any:
    """The value under a path such as `encoder.name` or `seeds[0]`; None where the path can't be followed."""
    for part in key.replace("]", "").replace("[", ".").split("."):
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


def load_section(path: Path, section: str, type_: type[T]) -> T:
    """One section of configs/pipeline.yaml, checked; the others are only checked by name.

    Raises:
        UserError: if the section is missing or broken, or the file has one that nothing reads.
    """
    data = load_settings(path, dict[str, Any])
    for name in data:
        if name not in PIPELINE_SECTIONS:
            raise UserError(f"{path}: {name}: not one of {', '.join(PIPELINE_SECTIONS)}; mend the key")
    if section not in data:
        raise UserError(f"{path}: section {section} is missing; add it")
    return _converted(data[section], type_, path, section)
