"""What a line of a news page is by where it stands: title, subheading, box of facts, or an entry of a menu or list.

Before the first body paragraph a line is the title or a menu, under "Read also" it belongs to a list, between two
paragraphs it is a subheading, after the last one part of a box of facts or of the page's foot. In doubt a line is kept:
content lost is worse than boilerplate kept. docs/LOG.md has what was measured (page furniture).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise, takewhile

from pipeline.text.lines import Line

_MOURNING = re.compile(
    r"соболезнов|скорб|(?:светлая|вечная) память|көңіл айт|қайғы|иманы |жатқан жері|condolence|rest in peace|mourn",
    re.I,
)
# A row of a box of facts: "Амплуа: либеро"
_PAIR = re.compile(r"(?:[\w«»-]+\s){0,2}[\w«»-]+\s?:\s\S")
_BREADCRUMB = re.compile(r" [»>›→/|] ")
# Shorter rows of headlines may be an explainer's list without marks. To reject all lines without a full stop after the
# last paragraph would find 5 points more of the boilerplate and lose 4 of the content (docs/LOG.md).
_FEWEST_HEADLINES = 6


def judge_by_place(page: list[Line]) -> None:
    """Gives lines that look like headlines a reason if their place does. Without a body paragraph all of them stay."""
    bodies = [index for index, line in enumerate(page) if line.is_body and not line.reason]
    if not bodies:
        return
    # An unfinished line of two sentences may be a headline: «Это труд». Интервью с пасечником
    finished = (index for index in bodies if page[index].last_mark in ".!?…:;" or page[index].words >= 25)
    first, last = next(finished, bodies[0]), bodies[-1]
    top, tail = page[:first], page[last + 1 :]
    _judge_top(top, [page[index] for index in bodies if index >= first])
    _judge_middle(page[first : last + 1], _stems(line for line in top if line.kind == "title"))
    _judge_tail(tail, page[last])
    introduced = page[last].last_mark == ":" or _MOURNING.search(page[last].text) is not None
    _reject_headlines(tail, introduced, page)


def _stems(part: Iterable[Line]) -> set[str]:
    return {stem for line in part for stem in line.stems}


def _judge_top(top: list[Line], bodies: list[Line]) -> None:
    """Keeps the title, and one or two lines more that may be it or its subtitle; the rest is a menu or a list."""
    unknown = [list(run) for known, run in groupby(top, key=lambda line: bool(line.reason)) if not known]
    lone = [run[0] for run in unknown if len(run) == 1]
    free, listed = _title_candidates(top)
    repeated = {key for key, count in Counter(_BREADCRUMB.split(line.key)[-1] for line in top).items() if count > 1}
    titles = _free_titles(free, _stems(bodies[:3]), repeated) or _fallback_titles(free, listed, bodies)
    if not titles and not any(line.is_body and not line.reason for line in top):
        titles = _short_title(lone, top, bodies[0])
    for position, line in enumerate(titles):
        line.reason, line.kind = "", "body" if position else "title"


def _title_candidates(top: list[Line]) -> tuple[list[Line], list[Line]]:
    """Rejects what is in a list or short enough for a menu; returns what may be the title: free lines, and listed ones.

    A list begins with a heading and ends with the next boilerplate.
    """
    free: list[Line] = []
    listed: list[Line] = []
    section = ""
    for line in top:
        if line.reason:
            section = line.reason if line.heads_list else ""
            continue
        if line.kind == "body" and line.words >= 3:
            (listed if section else free).append(line)
        # Of the lines of menus 3% are longer than this, and half of the content.
        if not line.is_body and (section or (line.words < 9 and len(line.text) < 70)):
            line.reason = section or "menu"
    return free, listed


def _free_titles(free: list[Line], lead: set[str], repeated: set[str]) -> list[Line]:
    """The title first, then what else may be it, of lines with a third of their words in the lead.

    On the pages in tests/data 90 of 113 titles have them, and 25 of 526 headlines of other articles. The last of these
    lines, with the one before it, is mostly title and subtitle. A line that stands there twice, once behind breadcrumbs
    ("Новости » …"), counts as if it had two words more in the lead.
    """
    shared = [len(line.stems & lead) + 2 * (line.key in repeated) for line in free]
    strong = [index for index, line in enumerate(free) if shared[index] and 3 * shared[index] >= len(line.stems)]
    if not strong:
        return []
    last = strong[-1]
    pair = [last - 1, last] if last - 1 in strong and shared[last - 1] >= 2 else [last]
    best = max(strong, key=lambda index: shared[index])
    title = best if best not in pair or free[best].key in repeated else pair[0]
    return [free[title], *(free[index] for index in sorted({*pair, best}) if index != title)]


def _fallback_titles(free: list[Line], listed: list[Line], bodies: list[Line]) -> list[Line]:
    """A listed line that speaks of the topic, then the last two free lines, of which any may be the title.

    Beside free lines a listed one needs two words, and a third of its own, in the lead, as 85 of 113 titles have and 8
    of 526 headlines of other articles. Without free lines the list's last may be the title that ran into the list: one
    word and half of its own are enough, in any paragraph.
    """
    lead = _stems(bodies[:3])
    if free:
        on_topic = [line for line in listed if _speaks_of(line, lead, least=2, one_in=3)]
    else:
        on_topic = [line for line in listed[-1:] if _speaks_of(line, _stems(bodies), least=1, one_in=2)]
    # That free line first which shares more with the lead; of two alike the first of a block, else the last.
    pair = free[-2:]
    apart = len(pair) == 2 and pair[1].number - pair[0].number > 1
    by_topic = sorted(pair[::-1] if apart else pair, key=lambda line: -len(line.stems & lead))
    return [*on_topic[-1:], *by_topic]


def _speaks_of(line: Line, topic: set[str], least: int, one_in: int) -> bool:
    """Whether at least so many words of a line, and one in so many, are the topic's."""
    shared = len(line.stems & topic)
    return shared >= least and one_in * shared >= len(line.stems)


def _short_title(lone: list[Line], top: list[Line], first: Line) -> list[Line]:
    """Two words that stand alone, for want of a better title; or the only name if the first paragraph tells of it."""
    alone = [line for line in lone if line.words == 2 and line.reason == "menu"]
    named = [line for line in top if line.doubtful and line.reason == "by-line" and line.stems & first.stems]
    return next((pool for pool in (alone[-1:], named) if len(pool) == 1 and pool[0].kind == "body"), [])


def _judge_middle(middle: list[Line], title: set[str]) -> None:
    """Rejects a heading's list alone; single lines stay, but for what by itself is boilerplate without a doubt.

    Of these, lone section names and contacts cost a third of a point of the content (docs/LOG.md). Items go on after a
    heading that fell among them if they are written like parts of a sentence.
    """
    introduced = False
    for is_body, group in groupby(middle, key=lambda line: line.is_body and not line.reason):
        run = list(group)
        if not is_body:
            _keep_box(run, introduced)
        introduced = run[-1].last_mark == ":"
    section: list[Line] = []
    listing = False
    for line in middle:
        if line.reason:
            if line.heads_list:
                section = [line]
        elif line.is_body:
            _keep_subheading(section, line, title)
            section, listing = [], line.last_mark == ":" or line.kind == "item"
        elif section and not (listing and line.continues_sentence):
            line.reason = section[0].reason
            section.append(line)
        elif line.kind == "item":
            listing = True


def _keep_box(run: list[Line], introduced: bool = False) -> bool:
    """Keeps the doubtful lines of a box of facts, and of a list of names or contacts that a colon introduces."""
    doubtful = [line for line in run if line.doubtful]
    is_list = introduced and doubtful == run and len(run) > 1
    if not is_list and not _is_box([line for line in run if not line.reason]):
        return False
    for line in doubtful:
        line.reason, line.heads_list = "", False
    return True


def _is_box(run: Sequence[Line]) -> bool:
    """Whether these are rows of a box of facts: two, and a third of all, have a key and a value."""
    pairs = sum(_PAIR.match(line.text) is not None for line in run)
    return pairs >= 2 and 3 * pairs >= len(run)


def _keep_subheading(section: list[Line], body: Line, title: set[str]) -> None:
    """Keeps a list's last line if it is the next paragraph's subheading: set off from the list, or on the topic."""
    if len(section) < 3:  # a heading and one line: that line is its list
        return
    gaps = [after.number - before.number for before, after in pairwise([*section, body])]
    is_set_off = gaps[-1] == 1 < gaps[-2] and set(gaps[:-2]) == {1}
    words = section[-1].stems
    in_body, in_title = words & body.stems, words & title
    if is_set_off or (in_body and in_title and 2 * len(in_body | in_title) >= len(words)):
        section[-1].reason = ""


def _judge_tail(tail: list[Line], last: Line) -> None:
    """Keeps a box of facts, and what comes before the first boilerplate that closes an article.

    Items of the article's last list stay as in the middle, and so do those who sign an obituary. One word or two
    without a mark at their end close an article, too: a button or a heading that no phrase names. That finds 2 points
    more of the boilerplate; lines of three and four words would find 2 more, but may be a list's (docs/LOG.md).
    """
    listing = last.last_mark == ":" or last.kind == "item"
    section = ""
    for line in _keep_signers_and_box(tail, last):
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


def _keep_signers_and_box(tail: list[Line], last: Line) -> list[Line]:
    """Keeps those who sign an obituary, and then a box of facts; returns the lines after them."""
    signers = list(takewhile(lambda line: not line.reason or (line.doubtful and line.reason == "by-line"), tail))
    if _MOURNING.search(last.text) and len(signers) > 1:
        for line in signers:
            line.reason = ""
        tail = tail[len(signers) :]
    box = list(takewhile(lambda line: line.doubtful or not (line.reason and (line.closes or line.heads_list)), tail))
    return tail[len(box) :] if _keep_box(box) else tail


def _reject_headlines(tail: list[Line], introduced: bool, page: list[Line]) -> None:
    """Rejects a long row of headlines that no colon introduces and that mostly speaks of something else.

    Its lines share less than a third of their words with the content; between two paragraphs any number may stay.
    """
    unknown = [line for line in tail if not line.reason or line.closes]
    for headlines, group in groupby(unknown, key=lambda line: line.is_headline and not line.reason):
        run = list(group)
        if headlines and len(run) >= _FEWEST_HEADLINES and not introduced and not _is_box(run):
            topic = _stems(line for line in page if line.is_body and not line.reason)
            if sum(len(line.stems) for line in run) > 3 * sum(len(line.stems & topic) for line in run):
                for line in run:
                    line.reason = "headlines"
        introduced = run[-1].last_mark == ":" and not run[-1].reason
