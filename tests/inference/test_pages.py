"""Pages of outlets that no rule was written for: their articles, by way of their markup and as a person copies them.

tests/data/outlets.jsonl holds 36 invented pages, each of another outlet, by a writer who had not seen the rules. Every
visible line is marked as the title, as content to keep, or as furniture of some kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from lxml import html

from pipeline.core.schemas import Article
from pipeline.core.settings import load_settings
from pipeline.inference.readers.pages import extract_article
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.normalize import prepare
from pipeline.text.segment import split_article
from tests.conftest import ROOT

BOILERPLATE = load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)
PAGES = [json.loads(line) for line in (ROOT / "tests/data/outlets.jsonl").read_text().splitlines()]
SURE = 20  # letters of a piece of furniture that can't stand in content by chance


def labelled(page: dict[str, str]) -> Iterator[tuple[str, str]]:
    for element in html.document_fromstring(page["html"].encode(), parser=html.HTMLParser(encoding="utf-8")).iter():
        label = element.get("data-l") if isinstance(element.tag, str) else None
        if label and (text := prepare(" ".join(element.itertext()))):
            yield label, text


def letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def by_markup(page: dict[str, str]) -> Iterator[tuple[bool, bool]]:
    """Of each line whether it is furniture, and whether it is treated as it should be."""
    title, text, page_says = extract_article(re.sub(r'\sdata-(?:l|alt)="[^"]*"', "", page["html"]))
    whole = text if not title or text.split("\n")[0].strip() == title.strip() else f"{title}\n{text}"
    kept = [
        letters(row.text) for row in split_article(Article(id="a", text=whole), BOILERPLATE, page_says=page_says)[0]
    ]
    lines = [(label.startswith("reject"), letters(line)) for label, line in labelled(page)]
    content = [line for is_furniture, line in lines if not is_furniture]
    for is_furniture, line in lines:
        if line and is_furniture:
            found = any(row == line or (len(line) >= SURE and line in row) for row in kept)
            yield True, not found or any(line in row for row in content)
        elif line:
            yield False, any(line in row for row in kept)


def as_copied(page: dict[str, str]) -> Iterator[tuple[bool, bool]]:
    lines = list(labelled(page))
    text = "\n".join(line for _, line in lines)
    dropped = {row.line for row in split_article(Article(id="a", text=text), BOILERPLATE)[1]}
    for number, (label, _) in enumerate(lines, 1):
        yield label.startswith("reject"), (number in dropped) == label.startswith("reject")


@pytest.mark.parametrize(
    ("way", "kept", "rejected"), [(by_markup, 0.99, 0.97), (as_copied, 0.98, 0.94)], ids=["markup", "copied"]
)
def test_unseen_outlets_are_split_as_well_as_they_were(way: object, kept: float, rejected: float) -> None:
    right, all_ = Counter[bool](), Counter[bool]()
    for page in PAGES:
        for is_furniture, is_right in way(page):  # type: ignore[operator]
            all_[is_furniture] += 1
            right[is_furniture] += is_right
    assert right[False] >= kept * all_[False], right[False] / all_[False]
    assert right[True] >= rejected * all_[True], right[True] / all_[True]


def test_every_title_is_found() -> None:
    for page in PAGES:
        (expected,) = [letters(line) for label, line in labelled(page) if label == "title"]
        title, text, page_says = extract_article(re.sub(r'\sdata-(?:l|alt)="[^"]*"', "", page["html"]))
        rows, _ = split_article(Article(id="a", text=f"{title}\n{text}"), BOILERPLATE, page_says=page_says)
        assert any(expected in letters(row.text) for row in rows), page["page"]
