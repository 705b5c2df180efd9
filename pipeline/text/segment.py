"""Articles to paragraphs: which line of a news page is content, and for what reason another is not (codebook, rule 11).

Three steps for each article: pipeline/text/boilerplate.py rejects what a line's own words give away, placement.py
judges the rest by where it stands, and what is said twice goes. No line is lost: it is kept, rejected with a reason, or
blank, and `split_articles` counts them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipeline.core.schemas import Article, Paragraph, Record, Rejected
from pipeline.text.boilerplate import Boilerplate, compiled_rules
from pipeline.text.breaks import unfolded
from pipeline.text.language import USUAL, languages
from pipeline.text.lines import Line
from pipeline.text.normalize import lines, prepare
from pipeline.text.placement import judge_by_place

_NOTHING: Mapping[str, str] = MappingProxyType({})


class LineCounts(Record, frozen=True):
    """What became of an article's lines: `lines` is the sum of `blank`, `kept` and the values of `rejected`.

    A line that was joined to the one before it (see `breaks`) counts as blank.
    """

    article: str
    lines: int
    blank: int
    kept: int
    rejected: dict[str, int]


def split_articles(
    articles: Sequence[Article], boilerplate: Boilerplate, among: frozenset[str] = USUAL
) -> tuple[list[Paragraph], list[Rejected], list[LineCounts]]:
    """The paragraphs and the rejected lines of all articles, and the counts of each.

    A paragraph's language is told `among` these (see pipeline/text/language.py).
    """
    paragraphs: list[Paragraph] = []
    rejected: list[Rejected] = []
    counts: list[LineCounts] = []
    for article in articles:
        kept, dropped = split_article(article, boilerplate, among)
        total, reasons = len(lines(article.text)), dict(sorted(Counter(row.reason for row in dropped).items()))
        blank = total - len(kept) - len(dropped)
        counts.append(LineCounts(article=article.id, lines=total, blank=blank, kept=len(kept), rejected=reasons))
        paragraphs += kept
        rejected += dropped
    return paragraphs, rejected, counts


def split_article(
    article: Article,
    boilerplate: Boilerplate,
    among: frozenset[str] = USUAL,
    page_says: Mapping[str, str] = _NOTHING,
) -> tuple[list[Paragraph], list[Rejected]]:
    """The article's content as paragraphs, in order, and its other lines with the reason; blank lines are in neither.

    Paragraphs are numbered among themselves, so boilerplate more or less never renames one. `page_says` has what the
    markup of a page tells of some lines: the reason why one is no content, or "" if it is a heading, a list item or a
    table row of the article, which then no place makes boilerplate.
    """
    found = lines(unfolded(article.text))
    page = [Line(number, text) for number, line in enumerate(found, 1) if (text := prepare(line))]
    judge_by_words = compiled_rules(boilerplate).judge
    for line in page:
        judge_by_words(line)
        if reason := page_says.get(line.text):
            line.reason, line.heads_list = line.reason or reason, False
    listed = [line for line in page if page_says.get(line.text) == "" and (line.doubtful or not line.reason)]
    judge_by_place(page)
    for line in listed:
        line.reason = ""
    _reject_repeats(page)
    kept = [line for line in page if not line.reason]
    codes = languages([line.text for line in kept], among)
    paragraphs = [
        Paragraph(
            id=f"{article.id}-{at:03d}", article=article.id, position=at, kind=line.kind, language=code, text=line.text
        )
        for at, (line, code) in enumerate(zip(kept, codes, strict=True), 1)
    ]
    return paragraphs, [
        Rejected(article=article.id, line=x.number, reason=x.reason, text=x.text) for x in page if x.reason
    ]


def _reject_repeats(page: list[Line]) -> None:
    """Rejects what an earlier kept line says too, and what is the beginning of another: cut, or without its full stop.

    A title may open the lead, and a beginning of fewer than five words may be a subheading. What says the same as the
    title before it (breadcrumbs do) goes, too.
    """
    kept = [line for line in page if not line.reason]
    keys = sorted(line.key for line in kept)
    seen = {line.key for line in kept if line.kind == "title"}
    for line in kept:
        # What begins with a key stands right behind it in the sorted list.
        following = bisect_right(keys, line.key)
        longer = keys[following] if following < len(keys) else ""
        rest = longer[len(line.key) :] if longer.startswith(line.key) else ""
        is_cut = line.last_mark == "…" or (line.last_mark not in ".!?:;" and not rest[:1].isalnum())
        if line.kind != "title" and (line.key in seen or (rest and is_cut and line.words >= 5)):
            line.reason = "repeat"
        seen.add(line.key)
