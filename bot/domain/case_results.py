"""The single cases that a check tells of, as JUnit XML or TAP. Whoever wrote them may be hostile: they are read with bounds.

No document type is admitted, and with it no entity: nothing can be fetched or blown up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_CASES = 20_000
MAX_NAME = 300
MAX_MESSAGE = 1_000
MAX_DEPTH = 100

_FAILING = ("failure", "error")
_TAP_LINE = re.compile(r"(?P<not>not )?ok\b(?:\s+(?P<number>\d{1,9}))?(?:\s*-)?\s*(?P<rest>.*)")
_TAP_PLAN = re.compile(r"1\.\.(\d{1,9})\b")
_TAP_DIRECTIVE = re.compile(r"(?<!\\)#\s*(?P<word>SKIP|TODO)", re.IGNORECASE)


class Unreadable(ValueError):
    """Results that cannot be read; the words say why."""


@dataclass(frozen=True, slots=True)
class CaseResults:
    """Cases by name: those that failed, with their message, those that passed, and those that were skipped.

    Of two with one name, the one that failed counts.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    passed: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        return len(self.failed) + len(self.passed) + len(self.skipped)

    @property
    def words(self) -> str:
        counts = {"passed": len(self.passed), "failed": len(self.failed), "skipped": len(self.skipped)}
        return ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "no case"


def joined(parts: Iterable[CaseResults]) -> CaseResults:
    """The results of several files of one check. Raises Unreadable for too many."""
    gathered = _Gathered()
    for part in parts:
        for name, message in part.failed.items():
            gathered.failed_with(name, message)
        for name in part.passed:
            gathered.add(gathered.passed, name)
        for name in part.skipped:
            gathered.add(gathered.skipped, name)
    return gathered.results()


def read_junit(content: bytes) -> CaseResults:
    """Raises Unreadable."""
    reader = _JUnitReader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(content, True)
    except Unreadable:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Unreadable(f"it is no XML that can be read: {error}") from error
    return reader.gathered.results()


def read_tap(lines: Iterable[str]) -> CaseResults:
    """The outermost cases: a subtest, which is indented, counts in its parent. Raises Unreadable."""
    gathered, planned, told = _Gathered(), None, 0
    for line in lines:
        if plan := _TAP_PLAN.match(line):
            planned = int(plan[1])
        elif line.startswith("Bail out!"):
            gathered.failed_with("Bail out!", line.removeprefix("Bail out!").strip())
        elif found := _TAP_LINE.fullmatch(line.rstrip()):
            told += 1
            _add_tap(gathered, found, told)
    if planned is None and not told:
        raise Unreadable("its output is no TAP")
    if planned is not None and told < planned:
        gathered.failed_with("1..N", f"{planned} cases were planned, and {told} were told of")
    return gathered.results()


def _add_tap(gathered: _Gathered, found: re.Match[str], number: int) -> None:
    directive = _TAP_DIRECTIVE.search(found["rest"])
    described = found["rest"][: directive.start()] if directive else found["rest"]
    name = described.strip() or f"case {found['number'] or number}"
    if directive:
        gathered.add(gathered.skipped, name)
    elif found["not"]:
        gathered.failed_with(name, "")
    else:
        gathered.add(gathered.passed, name)


class _Gathered:
    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.passed: set[str] = set()
        self.skipped: set[str] = set()
        self._told = 0

    def add(self, among: set[str], name: str) -> None:
        self._count()
        among.add(_line(name))

    def failed_with(self, name: str, message: str) -> None:
        self._count()
        self.failed.setdefault(_line(name), _short(message, MAX_MESSAGE))

    def results(self) -> CaseResults:
        passed = self.passed - self.failed.keys()
        return CaseResults(self.failed, frozenset(passed), frozenset(self.skipped - passed - self.failed.keys()))

    def _count(self) -> None:
        self._told += 1
        if self._told > MAX_CASES:
            raise Unreadable(f"it tells of more than {MAX_CASES:,} cases")


class _JUnitReader:
    """Follows the elements; of a failure it takes the message and the beginning of the text."""

    def __init__(self) -> None:
        self.gathered = _Gathered()
        self._depth = 0
        self._case: str | None = None
        self._ended = "passed"
        self._message = ""
        self._listening = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"its elements are nested more than {MAX_DEPTH} deep")
        name = tag.rpartition(":")[2]
        if name == "testcase":
            self._case, self._ended, self._message = _case_name(attributes), "passed", ""
        elif name in _FAILING and self._case is not None:
            self._ended, self._listening = "failed", True
            self._message = self._message or _short(attributes.get("message", ""), MAX_MESSAGE)
            self.text("\n" if self._message else "")
        elif name == "skipped" and self._ended == "passed":
            self._ended = "skipped"

    def text(self, text: str) -> None:
        if self._listening and len(self._message) < MAX_MESSAGE:
            self._message += text[: MAX_MESSAGE - len(self._message)]

    def end(self, tag: str) -> None:
        self._depth -= 1
        name = tag.rpartition(":")[2]
        if name in _FAILING:
            self._listening = False
        if name != "testcase" or self._case is None:
            return
        if self._ended == "failed":
            self.gathered.failed_with(self._case, self._message.strip())
        else:
            self.gathered.add(self.gathered.passed if self._ended == "passed" else self.gathered.skipped, self._case)
        self._case = None


def _case_name(attributes: Mapping[str, str]) -> str:
    group, name = attributes.get("classname", ""), attributes.get("name", "")
    return f"{group}::{name}" if group else name


def _line(name: str) -> str:
    """A name is shown to people: one line of it, without what steers a terminal."""
    return _short("".join(each if each.isprintable() else " " for each in name).strip() or "a case without a name", MAX_NAME)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _refuse_doctype(*_: object) -> None:
    raise Unreadable("it has a document type, which results need not, and which is not read")
