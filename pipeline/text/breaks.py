"""Where an article's paragraphs begin and end, if its line breaks do not say it.

Text copied from a PDF or an e-mail has its lines cut at a width (`unfolded`), text from some exports has no line breaks
at all (`parted`). Any other text stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipeline.text.normalize import lines

WIDTHS = range(40, 101)
"""Letters in the longest line of text that was cut at a width. A third of the paragraphs of news are longer."""
SLACK = 0.85
"""Of that width: what a line of a PDF has at least, whose letters are not all of one width."""
ONE_LINE = 1500
"""Letters from which an article on one line is cut; the longest paragraph of the seeds has 700."""
GROUP = 300
"""Letters that a group of sentences has at least: two or three, as most paragraphs of news have."""

_WRITTEN_OUT = re.compile(r"(?:\\r)?\\n(?![a-z])")
_HYPHEN = re.compile(r"\w[-‐¬\xad]$")
_BULLET = re.compile(r"[-–—•·*▪►✓✔]\s|\d{1,2}[.)]\s|[^\W\d_]\)\s")
_MARKS = ".;:!?…"
_SENTENCE_END = re.compile(r"[.!?…][»”\")]*(\s+)(?=[«“\"(–—-]?\s?[^\W\d_])")
# Behind these and behind initials no sentence ends.
_ABBREVIATION = re.compile(r"(?:^|\W)(?:[^\W\d_]|им|ул|пр|обл|респ|тыс|млн|млрд|тг|руб|др|гг|см|ст|проф|акад|ген)\.$")
# Behind these a hyphen stays where a line was cut, as before capitals and in words that stand elsewhere with it.
_PARTICLES = ("то", "либо", "нибудь", "таки", "ка", "ақ", "ау", "мыс", "міс")


def unfolded(text: str) -> str:
    """The text with each paragraph on one line, and empty lines in place of those that were joined to it.

    It is the text itself where lines are not cut at a width.
    """
    found = lines(text)
    width = _width(found)
    if not width:
        return text
    margin = min(_indent(line) for line in found if line.strip())
    found = [line[margin:] for line in found]
    limit = _limit(found, width - margin)
    if not limit:
        return text
    compounds = {word.casefold() for word in re.findall(r"\w+(?:-\w+)+", text)}
    first, joined = 0, [""] * len(found)
    for at, (before, line) in enumerate(pairwise(["", *found])):
        if _is_cut(before, line, limit):
            joined[first] = _join(joined[first], line.strip(), compounds)
        else:
            first, joined[at] = at, line
    return "\n".join(joined)


def is_one_line(text: str) -> bool:
    """Whether all of an article is one line that is no paragraph: too long, or with its line breaks written as \\n."""
    line = text.strip()
    return "\n" not in line and (len(line) > ONE_LINE or bool(_WRITTEN_OUT.search(line)))


def parted(line: str) -> str:
    """An article on one line with lines: where a break is written as \\n, else for some sentences."""
    return "\n".join(_pieces(line))


def _pieces(line: str) -> Iterator[str]:
    """The paragraphs of a line: by line breaks that are written out, else groups of sentences."""
    if _WRITTEN_OUT.search(line) or len(line) <= ONE_LINE:
        yield from _WRITTEN_OUT.split(line)
        return
    start = 0
    for match in _SENTENCE_END.finditer(line):
        if match.start() - start >= GROUP and not _ABBREVIATION.search(
            line[max(start, match.start() - 8) : match.start(1)]
        ):
            yield line[start : match.start(1)]
            start = match.end()
    yield line[start:]


def _width(found: Sequence[str]) -> int:
    """The width at which lines may have been cut, 0 if too many are longer."""
    lengths = [len(line) for line in found if line.strip()]
    width = max((length for length in lengths if length < WIDTHS.stop), default=0)
    longer = sum(length >= WIDTHS.stop for length in lengths)
    return width if width in WIDTHS and longer * 10 <= len(lengths) else 0


def _limit(found: Sequence[str], width: int) -> float:
    """The length beyond which a line was cut, 0 if lines are not cut at a width.

    They are if where a line is full the sentence mostly runs on in the next: in small letters, without a mark.
    """
    pairs = [(line, after) for line, after in pairwise(found) if _is_cut(line, after, width * SLACK)]
    run_on = [(line, after) for line, after in pairs if line.rstrip()[-1] not in _MARKS and after.strip()[0].islower()]
    if len(run_on) < 2 or len(run_on) * 2 < len(pairs):
        return 0
    return width if all(_is_cut(line, after, width) for line, after in run_on) else width * SLACK


def _is_cut(line: str, after: str, limit: float) -> bool:
    """Whether a line goes on in the one after it, whose first word had no room."""
    words = [word for word in after.strip().split(" ", 2)[:2] if word]  # no line is cut at a no-break space
    if not line.strip() or not words:
        return False
    is_dash = words[0] in "–—-" and words[-1][0].islower() and line.rstrip()[-1] not in _MARKS
    if _BULLET.match(after.lstrip()) and not is_dash:
        return False
    if _indent(after) > 1:  # as paragraphs without blank lines between them begin
        return False
    line = line.rstrip()
    is_hyphenated = _HYPHEN.search(line) is not None and words[0][0].islower()
    return is_hyphenated or len(line) + 1 + len(words[0]) > limit


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _join(line: str, after: str, compounds: set[str]) -> str:
    """Two pieces of a paragraph, and of a word if it was hyphenated."""
    line = line.rstrip()
    if not _HYPHEN.search(line):
        return f"{line} {after}"
    first = re.split(r"[^\w-]", after, maxsplit=1)[0]
    word = re.split(r"[^\w-]", line)[-1] + first
    soft = line[-1] in "¬\xad"
    stays = first[:1].isupper() or not line[-2].isalpha() or first in _PARTICLES or word.casefold() in compounds
    return line + after if stays and not soft else line[:-1] + after
