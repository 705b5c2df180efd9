"""The end of a news page: where the article ends, and what behind it is its last list or box, what the page's foot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise, takewhile

from pipeline.text.boxes import is_box, keep_box, stems
from pipeline.text.lines import Line

_MOURNING = re.compile(
    r"соболезнов|скорб|(?:светлая|вечная) память|көңіл айт|қайғы|иманы |жатқан жері|condolence|rest in peace|mourn",
    re.I,
)
# Shorter rows of headlines may be an explainer's list without marks. To reject all lines without a full stop after the
# last paragraph would find 5 points more of the boilerplate and lose 4 of the content (docs/LOG.md).
_FEWEST_HEADLINES = 6
# A foot has six lines and two reasons, and of the text at most three tenths are behind it. Five lines may be a box of
# links within the article.
_FOOT_LINES = 6
_FOOT_KINDS = 2
_BEHIND_FOOT = 0.3


def last_of_article(page: Sequence[Line], bodies: Sequence[int]) -> int:
    """The last body paragraph of the article: what stands behind its foot is a comment, an appeal or small print.

    A foot is a long run of boilerplate of several kinds behind which little follows.
    """
    left = sum(len(page[index].text) for index in bodies)
    most = left * _BEHIND_FOOT
    for before, after in pairwise(bodies):
        left -= len(page[before].text)
        reasons = {line.reason for line in page[before + 1 : after]} - {""}
        if left <= most and after - before > _FOOT_LINES and len(reasons) >= _FOOT_KINDS:
            return before
    return bodies[-1]


def judge_end(page: Sequence[Line], last: int) -> None:
    """Judges what follows the `last` body paragraph of an article."""
    tail = list(page[last + 1 :])
    _judge_tail(tail, page[last])
    introduced = page[last].last_mark == ":" or _MOURNING.search(page[last].text) is not None
    _reject_headlines(tail, introduced, page)


def _judge_tail(tail: list[Line], last: Line) -> None:
    """Keeps a box of facts, and what comes before the first boilerplate that closes an article.

    Items of the article's last list stay as in the middle, and so do those who sign an obituary. One word or two
    without a mark at their end close an article, too: a button or a heading that no phrase names. That finds 2 points
    more of the boilerplate; lines of three and four words would find 2 more, but may be a list's (docs/LOG.md).
    """
    listing = last.last_mark == ":" or last.kind == "item"
    section = ""
    tail = _keep_signers_and_box(tail, last)
    for line in tail:
        if line.reason:
            if line.heads_list or line.closes:
                section = line.reason
        elif section:
            if not (listing and line.continues_sentence):
                line.reason = section
        elif line.kind == "item":
            listing = True
        elif not listing and line.words <= 2 and line.last_mark not in ".!?…:;":
            line.reason = section = "menu"
    if not listing:
        _reject_short_runs(tail)


def _reject_short_runs(tail: Sequence[Line]) -> None:
    """Rejects up to three short lines among the boilerplate behind the article; more may be a list without marks."""
    for known, group in groupby(tail, key=lambda line: bool(line.reason)):
        run = list(group)
        if not known and len(run) <= 3:
            for line in run:
                if line.words <= 4 and line.kind != "item" and line.last_mark not in ".!?…:;":
                    line.reason = "menu"


def _keep_signers_and_box(tail: list[Line], last: Line) -> list[Line]:
    """Keeps those who sign an obituary, and then a box of facts; returns the lines after them."""
    signers = list(takewhile(lambda line: not line.reason or (line.doubtful and line.reason == "by-line"), tail))
    if _MOURNING.search(last.text) and len(signers) > 1:
        for line in signers:
            line.reason = ""
        tail = tail[len(signers) :]
    box = list(takewhile(lambda line: line.doubtful or not (line.reason and (line.closes or line.heads_list)), tail))
    return tail[len(box) :] if keep_box(box) else tail


def _reject_headlines(tail: list[Line], introduced: bool, page: Sequence[Line]) -> None:
    """Rejects a long row of headlines that no colon introduces and that mostly speaks of something else.

    Its lines share less than a third of their words with the content; between two paragraphs any number may stay.
    """
    unknown = [line for line in tail if not line.reason or line.closes]
    for headlines, group in groupby(unknown, key=lambda line: line.is_headline and not line.reason):
        run = list(group)
        if headlines and len(run) >= _FEWEST_HEADLINES and not introduced and not is_box(run):
            topic = stems(line for line in page if line.is_body and not line.reason)
            if sum(len(line.stems) for line in run) > 3 * sum(len(line.stems & topic) for line in run):
                for line in run:
                    line.reason = "headlines"
        introduced = run[-1].last_mark == ":" and not run[-1].reason
