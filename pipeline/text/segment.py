"""Articles to paragraphs: which line of a news page is content, and for what reason another is not (codebook, rule 11).

pipeline/text/boilerplate.py knows what a line shows by itself. Here the rest is judged by where it stands: before the first
body paragraph it is the title or a menu, under "Read also" it belongs to a list, between two paragraphs it is a
subheading, after the last paragraph a box of facts or the page's foot. In doubt a line is kept. No line is lost: it is
kept, rejected with a reason, or blank, and `split_articles` counts them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise, takewhile

from pipeline.core.schemas import Article, Paragraph, Record, Rejected
from pipeline.text.boilerplate import Boilerplate, Line, compiled_rules
from pipeline.text.cues import MOURNING
from pipeline.text.language import languages
from pipeline.text.normalize import lines, prepare


class LineCounts(Record, frozen=True):
    """What became of an article's lines: `lines` is the sum of `blank`, `kept` and the values of `rejected`."""

    article: str
    lines: int
    blank: int
    kept: int
    rejected: dict[str, int]


def split_articles(
    articles: Sequence[Article], boilerplate: Boilerplate
) -> tuple[list[Paragraph], list[Rejected], list[LineCounts]]:
    """The paragraphs and the rejected lines of all articles, and the counts of each."""
    paragraphs: list[Paragraph] = []
    rejected: list[Rejected] = []
    counts: list[LineCounts] = []
    for article in articles:
        kept, dropped = split_article(article, boilerplate)
        total, reasons = len(lines(article.text)), dict(sorted(Counter(row.reason for row in dropped).items()))
        blank = total - len(kept) - len(dropped)
        counts.append(LineCounts(article=article.id, lines=total, blank=blank, kept=len(kept), rejected=reasons))
        paragraphs += kept
        rejected += dropped
    return paragraphs, rejected, counts


def split_article(article: Article, boilerplate: Boilerplate) -> tuple[list[Paragraph], list[Rejected]]:
    """The article's content as paragraphs, in order, and its other lines with the reason; blank lines are in neither.

    Paragraphs are numbered among themselves, so boilerplate more or less never renames one.
    """
    page = [Line(number, text) for number, line in enumerate(lines(article.text), 1) if (text := prepare(line))]
    judge = compiled_rules(boilerplate).judge
    for line in page:
        judge(line)
    _place(page)
    _reject_repeats(page)
    kept = [line for line in page if not line.reason]
    paragraphs = [
        Paragraph(
            id=f"{article.id}-{at:03d}", article=article.id, position=at, kind=line.kind, language=code, text=line.text
        )
        for at, (line, code) in enumerate(zip(kept, languages([line.text for line in kept]), strict=True), 1)
    ]
    thrown = [line for line in page if line.reason]
    return paragraphs, [Rejected(article=article.id, line=x.number, reason=x.reason, text=x.text) for x in thrown]


def _reject_repeats(page: list[Line]) -> None:
    """Rejects what an earlier kept line says too, and what is the beginning of another: cut, or without its full stop.

    A title may open the lead, and a beginning of fewer than five words may be a subheading.
    """
    kept = [line for line in page if not line.reason]
    keys = sorted(line.key for line in kept)
    seen: set[str] = set()
    for line in kept:
        following = bisect_right(keys, line.key)
        longer = keys[following] if following < len(keys) else ""
        rest = longer[len(line.key) :] if longer.startswith(line.key) else ""
        cut = line.ends == "…" or (line.ends not in ".!?:;" and not rest[:1].isalnum())
        if line.key in seen or (rest and cut and line.kind != "title" and line.words >= 5):
            line.reason = "repeat"
        seen.add(line.key)


def _place(page: list[Line]) -> None:
    """Judges the lines that look like headlines by their neighbours. Without a body paragraph all of them stay."""
    bodies = [index for index, line in enumerate(page) if line.body and not line.reason]
    if not bodies:
        return
    # An unfinished line of two sentences may be a headline: «Это труд». Интервью с пасечником
    ended = (index for index in bodies if page[index].ends in ".!?…:;" or page[index].words >= 25)
    first, last = next(ended, bodies[0]), bodies[-1]
    _place_top(page[:first], [page[index] for index in bodies if index >= first])
    _place_middle(page[first : last + 1], _stems([line for line in page[:first] if line.kind == "title"]))
    _place_tail(page[last + 1 :], page[last])
    _drop_headlines(page[last + 1 :], page, introduced=page[last].ends == ":" or bool(MOURNING.search(page[last].text)))


def _place_top(top: list[Line], bodies: list[Line]) -> None:
    """Before the first paragraph the title stays, and one or two lines more that may be it or its subtitle.

    The list under a heading ends with the next boilerplate; a line in it is the title only if it speaks of the topic.
    """
    free: list[Line] = []
    listed: list[Line] = []
    section = ""
    runs = [list(run) for known, run in groupby(top, key=lambda line: bool(line.reason)) if not known]
    for line in top:
        if line.reason:
            section = line.reason if line.heading else ""
            continue
        if line.kind == "body" and line.words >= 3:
            (listed if section else free).append(line)
        if not line.body and (section or not line.long):
            line.reason = section or "menu"
    keys = Counter(re.split(r" [»>›→/|] ", line.key)[-1] for line in top)
    repeated = {line.key for line in free if keys[line.key] > 1}
    lead = _stems(bodies[:3])
    # Beside a free line it takes a third of its words, two at least, in the lead; the list's last line without one
    # may have half of them anywhere.
    topic, share, least = (lead, 3, 2) if free else (_stems(bodies), 2, 1)
    listed = [
        line
        for line in (listed if free else listed[-1:])
        if len(line.stems) <= share * (said := len(line.stems & topic)) and said >= least
    ]
    titles = _best(free, lead, repeated) or [*listed[-1:], *_last(free, lead)]
    # Two words that stand alone are a title for want of a better one, a name if the first paragraph tells of it.
    if not titles and not any(line.body and not line.reason for line in top):
        alone = [run[0] for run in runs if len(run) == 1 and run[0].words == 2 and run[0].reason == "menu"]
        named = [line for line in top if line.doubtful and line.reason == "by-line" and line.stems & _stems(bodies[:1])]
        titles = next((pool for pool in (alone[-1:], named) if len(pool) == 1 and pool[0].kind == "body"), [])
    for position, line in enumerate(titles):
        line.reason, line.kind = "", "body" if position else "title"


def _stems(part: list[Line]) -> set[str]:
    return {stem for line in part for stem in line.stems}


def _best(pool: list[Line], topic: set[str], repeated: set[str]) -> list[Line]:
    """The title first, then what else may be it, of the lines that are repeated or share a third of their words."""
    shared = [len(line.stems & topic) + 2 * (line.key in repeated) for line in pool]
    strong = [index for index, line in enumerate(pool) if shared[index] and 3 * shared[index] >= len(line.stems)]
    if not strong:
        return []
    last = strong[-1]
    group = {last} | {index for index in strong if index == last - 1 and shared[index] >= 2}
    best = max(strong, key=lambda index: shared[index])
    title = best if best not in group or pool[best].key in repeated else min(group)
    return [pool[title], *(pool[index] for index in sorted(group | {best}) if index != title)]


def _last(pool: list[Line], topic: set[str]) -> list[Line]:
    """The last two lines, that first which shares more words; of two alike the first of a block, else the last."""
    pair = pool[-2:]
    apart = len(pair) == 2 and pair[1].number - pair[0].number > 1
    return sorted(pair[::-1] if apart else pair, key=lambda line: -len(line.stems & topic))


def _place_middle(middle: list[Line], title: set[str]) -> None:
    """Between paragraphs only a heading's list goes, and what by itself is boilerplate without a doubt.

    Items go on after a heading that fell among them if they are written like parts of a sentence.
    """
    introduced = False
    for body, group in groupby(middle, key=lambda line: line.body and not line.reason):
        run = list(group)
        if not body:
            _free_box(run, introduced)
        introduced = run[-1].ends == ":"
    section: list[Line] = []
    listing = False
    for line in middle:
        if line.reason:
            if line.heading:
                section = [line]
        elif line.body:
            _free_subheading(section, line, title)
            section, listing = [], line.ends == ":" or line.kind == "item"
        elif section and not (listing and line.continues):
            line.reason = section[0].reason
            section.append(line)
        elif line.kind == "item":
            listing = True


def _free_box(run: list[Line], introduced: bool) -> None:
    """Keeps the doubtful lines of a box of facts, and of a list of names or contacts that a colon introduces."""
    doubtful = [line for line in run if line.doubtful]
    if _box([line for line in run if not line.reason]) or (introduced and doubtful == run and len(run) > 1):
        for line in doubtful:
            line.reason, line.heading = "", False


def _free_subheading(section: list[Line], body: Line, title: set[str]) -> None:
    """Keeps a list's last line if it is the next paragraph's subheading: set off from the list, or on the topic."""
    if len(section) < 3:
        return
    gaps = [after.number - before.number for before, after in pairwise([*section, body])]
    set_off = gaps[-1] == 1 < gaps[-2] and set(gaps[:-2]) == {1}
    own = section[-1].stems
    near, far = own & body.stems, own & title
    if set_off or (near and far and 2 * len(near | far) >= len(own)):
        section[-1].reason = ""


def _drop_headlines(tail: list[Line], page: list[Line], introduced: bool) -> None:
    """Rejects six headlines or more in sequence that no colon introduces and that mostly speak of something else.

    Fewer may be an explainer's list without marks; between two paragraphs any number may.
    """
    unknown = [line for line in tail if not line.reason or line.closes]
    for headlines, group in groupby(unknown, key=lambda line: line.headline and not line.reason):
        run = list(group)
        if headlines and len(run) >= 6 and not introduced and not _box(run):
            topic = _stems([line for line in page if line.body and not line.reason])
            if sum(len(line.stems) for line in run) > 3 * sum(len(line.stems & topic) for line in run):
                for line in run:
                    line.reason = "headlines"
        introduced = run[-1].ends == ":" and not run[-1].reason


def _box(run: list[Line]) -> bool:
    """Whether these are rows of a box of facts: two, and a third of all, have a key and a value."""
    pairs = sum(line.pair for line in run)
    return pairs >= 2 and 3 * pairs >= len(run)


def _place_tail(tail: list[Line], last: Line) -> None:
    """Behind the last paragraph a box of facts stays, and what comes before the first boilerplate that closes an article.

    Items of the article's last list stay as in the middle, and so do those who sign an obituary. One word or two
    without a mark at their end close an article, too: a button or a heading that no phrase names.
    """
    listing = last.ends == ":" or last.kind == "item"
    signed = list(takewhile(lambda line: not line.reason or (line.doubtful and line.reason == "by-line"), tail))
    if MOURNING.search(last.text) and len(signed) > 1:
        for line in signed:
            line.reason = ""
        tail = tail[len(signed) :]
    block = list(takewhile(lambda line: line.doubtful or not (line.reason and (line.closes or line.heading)), tail))
    if _box([line for line in block if not line.reason]):
        for line in block:
            line.reason = "" if line.doubtful else line.reason
        tail = tail[len(block) :]
    section = ""
    for line in tail:
        if line.reason:
            if line.heading or line.closes:
                section = line.reason
        elif section:
            if not (listing and line.continues):
                line.reason = section
        elif line.kind == "item":
            listing = True
        elif not listing and line.words <= 2 and line.ends not in ".!?…:;":
            line.reason = section = "menu"
