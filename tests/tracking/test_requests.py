"""What a served model is asked, before MLflow makes a table of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from pipeline.tracking.requests import (
    REQUEST_CHARACTERS,
    REQUEST_TEXTS,
    TEXT_CHARACTERS,
    RequestParams,
    check_request,
    guard_requests,
)

KAZAKH, RUSSIAN = "Жаңа портал ашылды.", "В школах внедряются программы."
WHOLE = {"text": [KAZAKH, RUSSIAN], "id": ["1", "2"]}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": WHOLE, "params": {"threshold": 1, "top_k": 2}},
        {"inputs": {"text": [KAZAKH]}, "params": {}},
        {"inputs": [{"text": KAZAKH, "id": "1"}, {"text": RUSSIAN, "id": "2"}], "params": None},
        {"instances": [{"text": RUSSIAN}]},
        {"dataframe_records": [{"text": RUSSIAN}]},
        {"dataframe_split": {"columns": ["text"], "data": [[KAZAKH], [RUSSIAN]], "index": [0, 1]}},
        {"inputs": {"text": [KAZAKH[0] * TEXT_CHARACTERS] * (REQUEST_CHARACTERS // TEXT_CHARACTERS)}},
        {"inputs": {"text": [RUSSIAN] * REQUEST_TEXTS}},
    ],
)
def test_what_the_documents_teach_is_taken(body: Any) -> None:
    check_request(json.dumps(body))
    check_request(json.dumps(body, ensure_ascii=False).encode())


REFUSED: list[tuple[Any, str]] = [
    ({"inputs": {"text": [None]}}, "Expected `str`, got `null` - at `$.inputs.text[0]`; expected {"),
    ({"inputs": {"text": [KAZAKH, 1]}}, "Expected `str`, got `int` - at `$.inputs.text[1]`"),
    ({"inputs": [{"text": RUSSIAN, "id": None}]}, "Expected `str`, got `null` - at `$.inputs[0].id`"),
    ({"dataframe_records": [{"text": None}]}, "Expected `str`, got `null` - at `$.dataframe_records[0].text`"),
    ({"inputs": [RUSSIAN]}, "Expected `object`, got `str` - at `$.inputs[0]`"),
    ({"inputs": {"txt": [RUSSIAN]}}, "Object contains unknown field `txt` - at `$.inputs`"),
    ({"inputs": WHOLE, "params": {"treshold": 0.5}}, "unknown field `treshold` - at `$.params`"),
    ({"inputs": WHOLE, "parameters": {"threshold": 0.5}}, "unknown field `parameters`; expected {"),
    ({"inputs": WHOLE, "params": {"top_k": "1"}}, "Expected `int`, got `str` - at `$.params.top_k`"),
    ('{"inputs": {"text": [NaN]}}', "JSON is malformed: invalid character (byte 21)"),
    ("[" * 100_000, "Expected `object`, got `array`; expected {"),
    ('{"dataframe_split": {"columns": ["text"], "data": [[' + "[" * 100_000, "maximum recursion depth exceeded"),
    ("", "Input data was truncated"),
    (b'{"inputs": {"text": ["\xff"]}}', "can't decode byte 0xff"),
    ({"inputs": {"text": []}}, "no rows: give at least one text"),
    ({"inputs": {"text": [KAZAKH, " \n"]}}, "text of row 1: expected a text that is not empty, got ' \\n'"),
    (
        {"inputs": [{"text": RUSSIAN}, {"text": "Сөз " * 1_500_000}]},
        "text of row 1: 6000000 characters, expected at most 20000; send its paragraphs",
    ),
    ({"inputs": {"text": [KAZAKH] * 501}}, "501 texts: expected at most 500 in a request; send several"),
    (
        {"inputs": {"text": ["ж" * 20_000] * 5 + ["ж"]}},
        "100001 characters in all: expected at most 100000 in a request; send several",
    ),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_mlflow_would_misread_or_choke_on_is_refused(body: Any, message: str) -> None:
    with pytest.raises(MlflowException) as caught:
        check_request(body if isinstance(body, bytes | str) else json.dumps(body))
    assert message in caught.value.message
    assert caught.value.get_http_status_code() == 400
    assert len(caught.value.message) < 400  # the request does not come back


def test_the_types_name_what_the_signature_names() -> None:
    from pipeline.tracking.requests import SIGNATURE, RequestColumns, RequestRow

    names = {name.name for name in SIGNATURE.inputs}
    assert {*RequestRow.__struct_fields__} == {*RequestColumns.__struct_fields__} == names
    assert {param.name: param.default for param in SIGNATURE.params} == {
        name: getattr(RequestParams(), name) for name in RequestParams.__struct_fields__
    }


def test_models_of_others_are_left_alone_and_another_mlflow_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.models import Model
    from mlflow.pyfunc import scoring_server

    monkeypatch.setattr(scoring_server, "_parse_json_data", scoring_server._parse_json_data)  # put back at the end
    guard_requests()
    once = scoring_server._parse_json_data
    guard_requests()
    assert scoring_server._parse_json_data is once
    assert scoring_server._parse_json_data('{"inputs": [null]}', Model(), None).data.tolist() == [None]
    monkeypatch.delattr(scoring_server, "_parse_json_data")
    with pytest.warns(UserWarning, match="reads a null as text and drops misspelt parameters"):
        guard_requests()
