"""What may be asked of a served model: the shape of a request, and how much of it at once.

MLflow turns a request into a table before the model sees it. On the way a null becomes the word "None", a number its
digits, a misspelt parameter is dropped, and deep nesting ends in a 500. So the JSON is held against these types first.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import wraps
from typing import Any

import msgspec
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc import scoring_server
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map
from msgspec import UNSET, Struct, UnsetType

OWN_THRESHOLDS, NO_LIMIT = -1.0, 0
"""The defaults of the parameters `threshold` and `top_k`."""

TEXT_CHARACTERS, REQUEST_TEXTS, REQUEST_CHARACTERS = 20_000, 500, 100_000
"""Characters of a text, texts of a request, and characters of all its texts (docs/mlflow.md says why so many)."""

ID, TEXT = ColSpec("string", "id", required=False), ColSpec("string", "text")
THEMES = [ColSpec(Array("string"), name) for name in ("themes", "undecided")]
SIGNATURE = ModelSignature(
    inputs=Schema([TEXT, ID]),
    outputs=Schema([ID, *THEMES, ColSpec(Map("double"), "scores"), ColSpec("string", "status")]),
    params=ParamSchema([ParamSpec("threshold", "double", OWN_THRESHOLDS), ParamSpec("top_k", "long", NO_LIMIT)]),
)
EXAMPLE = {"text": ["В школах внедряются программы «Адал ұрпақ».", "Жексенбіде ауа райы бұзылады."]}
SHAPE = '{"inputs": {"text": ["…"], "id": ["…"]}, "params": {"threshold": 0.5, "top_k": 1}}, all but text optional'

invalid = MlflowException.invalid_parameter_value


class RequestRow(Struct, forbid_unknown_fields=True):
    """A text, and the id that comes back with its themes."""

    text: str
    id: str | UnsetType = UNSET


class RequestColumns(Struct, forbid_unknown_fields=True):
    """Texts and their ids."""

    text: list[str]
    id: list[str] | UnsetType = UNSET


class RequestTable(Struct, forbid_unknown_fields=True):
    """A table as pandas writes it; its values are looked at by the model."""

    data: list[list[Any]]
    columns: list[str]
    index: list[Any] | UnsetType = UNSET


class RequestParams(Struct, forbid_unknown_fields=True):
    """Another threshold for every theme, and how many themes at most."""

    threshold: float = OWN_THRESHOLDS
    top_k: int = NO_LIMIT


class Request(Struct, forbid_unknown_fields=True):
    """The JSON of a request. MLflow wants exactly one of the tables."""

    inputs: RequestColumns | list[RequestRow] | UnsetType = UNSET
    instances: RequestColumns | list[RequestRow] | UnsetType = UNSET
    dataframe_records: list[RequestRow] | UnsetType = UNSET
    dataframe_split: RequestTable | UnsetType = UNSET
    params: RequestParams | None = None


def check_request(body: bytes | str) -> None:
    """Refuses JSON that MLflow would read as something else than it says, or that asks too much.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, with the place of what is wrong and what is expected.
    """
    try:
        request = msgspec.json.decode(body, type=Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{error}; expected {SHAPE}") from None
    for table in (request.inputs, request.instances, request.dataframe_records):
        if isinstance(table, RequestColumns):
            check_texts(table.text)
        elif isinstance(table, list):
            check_texts([row.text for row in table])


def check_texts(texts: Sequence[Any]) -> None:
    """Refuses texts that are none, or too long or too many for one request.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, with the row and the bound.
    """
    if not texts:
        raise invalid("no rows: give at least one text")
    if len(texts) > REQUEST_TEXTS:
        raise invalid(f"{len(texts)} texts: expected at most {REQUEST_TEXTS} in a request; send several")
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise invalid(f"text of row {row}: expected a text that is not empty, got {text!r}")
        if len(text) > TEXT_CHARACTERS:
            raise invalid(
                f"text of row {row}: {len(text)} characters, expected at most {TEXT_CHARACTERS}; send its paragraphs"
            )
    if (size := sum(map(len, texts))) > REQUEST_CHARACTERS:
        raise invalid(f"{size} characters in all: expected at most {REQUEST_CHARACTERS} in a request; send several")


def guard_requests() -> None:
    """Has MLflow's server, and `mlflow models predict`, check the JSON of each request for a model of ours.

    MLflow offers no place for this, so the function that reads the JSON is wrapped. A logged model pins the MLflow that
    has it; under another one that has not, a warning says what is not refused.
    """
    read = getattr(scoring_server, "_parse_json_data", None)
    if read is None:
        warnings.warn(
            "this MLflow reads a null as text and drops misspelt parameters; use the one pinned", stacklevel=2
        )
    elif not hasattr(read, "__wrapped__"):

        @wraps(read)
        def checked(data: Any, metadata: Any, input_schema: Any) -> Any:
            if metadata.signature == SIGNATURE and isinstance(data, bytes | str):
                check_request(data)
            return read(data, metadata, input_schema)

        scoring_server._parse_json_data = checked
