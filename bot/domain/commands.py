"""Commands that people write as comments: `/whimbrel VERB ...`, in a comment's first line that is not blank.

A quoted line, a line of code (indented, or after a fence) and a mention of the bot are no commands. Only plain ASCII names a
command: a letter that merely looks like one is a misspelling, and is told as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.policy_files import nearest
from bot.domain.redaction import one_line

PREFIX = "/whimbrel"
MAX_WORDS = 1000
"""Of the words for the agent, in characters."""
MAX_ECHO = 60

_LINE_END = re.compile(r"\r\n|\r|\n")
# Four blanks or a tab make a line of Markdown code; what follows the prefix is white space, or nothing.
_ADDRESSED = re.compile(rf" {{0,3}}{re.escape(PREFIX)}(?=[\s\u00a0]|$)(?P<rest>.*)", re.ASCII | re.IGNORECASE | re.DOTALL)


class Verb(StrEnum):
    RUN = "run"
    PLAN = "plan"
    RETRY = "retry"
    REBASE = "rebase"
    TAKEOVER = "takeover"
    CLOSE = "close"
    STATUS = "status"
    OFF = "off"
    ON = "on"
    HELP = "help"


USAGE = {
    Verb.RUN: "run POLICY",
    Verb.PLAN: "plan POLICY",
    Verb.RETRY: "retry [words for the agent]",
    Verb.REBASE: "rebase",
    Verb.TAKEOVER: "takeover",
    Verb.CLOSE: "close",
    Verb.STATUS: "status",
    Verb.OFF: "off",
    Verb.ON: "on",
    Verb.HELP: "help",
}
"""How each command is written, after the prefix."""


@dataclass(frozen=True, slots=True)
class Command:
    """`policy` is what `run` and `plan` name, in lower case; `words` are one line for the agent, of `retry`."""

    verb: Verb
    policy: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Misspelt:
    """What is wrong, in a sentence that names no more than 60 of the writer's own characters; `usage` is the right way."""

    problem: str
    usage: str = ""


def parse(body: str) -> Command | Misspelt | None:
    """The command of a comment; None where it is not addressed to the bot."""
    addressed = _ADDRESSED.fullmatch(_first_line(body))
    if addressed is None:
        return None
    verb, _, rest = _one_blank(addressed["rest"]).partition(" ")
    if not verb:
        return Command(Verb.HELP)
    try:
        return _command(Verb(_lower(verb)), rest)
    except ValueError:
        near = nearest(_lower(verb), [verb.value for verb in Verb])
        strange = "" if verb.isascii() else ": it has characters other than a to z"
        return Misspelt(f"there is no command `{_echo(verb)}`{strange}", USAGE[Verb(near)] if near else "")


def _command(verb: Verb, rest: str) -> Command | Misspelt:
    usage = USAGE[verb]
    if verb is Verb.RETRY:
        words = one_line(rest, len(rest) + 1)
        if len(words) > MAX_WORDS:
            return Misspelt(f"{len(words):,} characters are too many: the words for the agent are at most {MAX_WORDS:,}", usage)
        return Command(verb, words=words)
    if verb in (Verb.RUN, Verb.PLAN):
        if len(rest.split()) != 1:
            return Misspelt(f"`{verb}` is followed by the name of one policy", usage)
        return Command(verb, policy=_lower(rest))
    return Misspelt(f"`{verb}` is followed by nothing else", usage) if rest else Command(verb)


def _first_line(body: str) -> str:
    return next((line for line in _LINE_END.split(body.removeprefix("\ufeff")) if line.strip()), "")


def _one_blank(text: str) -> str:
    return " ".join(text.split())


def _lower(text: str) -> str:
    """Keyboards put a capital first. Only ASCII is lowered: a Kelvin sign would become a k."""
    return text.lower() if text.isascii() else text


def _echo(text: str) -> str:
    """Somebody's own text, for a reply: between backticks it is code, and can end neither that nor the line."""
    return one_line(text, MAX_ECHO).replace("`", "'")
