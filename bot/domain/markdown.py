"""What others wrote, made safe to show in the Markdown of a pull request, on GitHub and GitLab alike.

A zero-width space is put where a meaning begins: a reader sees the text as it was, and the host sees nothing to act on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from bot.domain.redaction import one_line

ZERO_WIDTH = "\u200b"

_CLOSING_KEYWORD = re.compile(
    r"\b(?P<first>[cfri])(?=(?:los(?:e[sd]?|ing)|ix(?:e[sd]|ing)?|esolv(?:e[sd]?|ing)|mplement(?:s|ed|ing)?)\b)", re.IGNORECASE
)
_REFERENCE = re.compile(r"(?P<first>@(?=[\w\"])|[#!&](?=\d)|\bG[HL](?=-\d))", re.IGNORECASE)
_HTML = re.compile(r"(?P<first><)(?=[a-z!/?])", re.IGNORECASE)
_QUICK_ACTION = re.compile(r"^(?P<first>[ \t]*)(?=/[a-z])", re.IGNORECASE | re.MULTILINE)


def neutral(text: str) -> str:
    """Text in which nobody is mentioned, nothing is referred to or closed, and no HTML, comment or quick action is left."""
    text = "".join(char for char in text.replace("\r\n", "\n") if _visible(char))
    for meaning in (_CLOSING_KEYWORD, _REFERENCE, _HTML, _QUICK_ACTION):
        text = meaning.sub(rf"\g<first>{ZERO_WIDTH}", text)
    return text


def neutral_data(value: Any) -> Any:
    """JSON-like data with every string in it `neutral`, keys too. `value` itself is left as it is.

    A single word, such as `fixed`, means nothing to a host by itself, and stays what a template compares it with.
    """
    match value:
        case str():
            return value if value.isalnum() else neutral(value)
        case Mapping():
            return {neutral(str(key)): neutral_data(item) for key, item in value.items()}
        case list() | tuple():
            return [neutral_data(item) for item in value]
    return value


def cell(text: str) -> str:
    """`neutral`, on one line of at most 200 characters, for a cell of a table."""
    return re.sub(r"(\\*)\|", r"\1\1\\|", neutral(one_line(text)))


def _visible(char: str) -> bool:
    """Not a control character, nor one that is made to mislead (the direction of writing); joiners shape letters and emoji."""
    return char in "\n\t\u200c\u200d" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"}


def fenced(text: str, language: str = "") -> str:
    """A block of code, whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


TAIL = 4000


def fitted(text: str, limit: int) -> str:
    """At most `limit` characters: whole lines go from the middle, and that is said; how it begins and ends stays."""
    if len(text) <= limit:
        return text
    words = f"\n\n_Lines are left out here: the host takes at most {limit:,} characters._\n\n"
    tail = min(TAIL, limit // 4)
    head = text[: limit - tail - len(words)].rpartition("\n")[0]
    return f"{head}{words}{text[-tail:].partition(chr(10))[2]}"
