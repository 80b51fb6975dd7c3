"""Tests as they stand in a file: which cases there are, what they look at, whether they are run.

Python is parsed. Of the other languages, text is read from one case's start to the next, with comments blanked out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bot.domain.guards.python_tests import read_python


@dataclass(frozen=True, slots=True)
class Case:
    """One test. `rows` is how often it runs, `strong` and `weak` how many assertions say much or little.

    `skipped` says how it is kept from running, empty where it is run.
    """

    name: str
    line: int
    rows: int
    strong: int
    weak: int
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Language:
    paths: re.Pattern[str]
    start: re.Pattern[str]
    """Of a case; the group `name` is its name, `skip` is there where it is skipped right there."""
    skip: re.Pattern[str]
    """In the text of a case, or just before it."""
    asserts: re.Pattern[str]
    weak: re.Pattern[str]
    trivial: re.Pattern[str]
    file_skip: re.Pattern[str]
    comments: str = "c"
    before: bool = False
    """What belongs to a case (its annotations) stands before its start."""


MAX_TEST = 400_000
"""Characters of a test file that are read."""

_NEVER = re.compile(r"(?!)")
_JUNIT = r"@(?:Test|ParameterizedTest|RepeatedTest|TestFactory)\b"

LANGUAGES = (
    Language(
        paths=re.compile(r"(?:\.(?:test|spec|cy)\.[cm]?[jt]sx?|(?:^|/)__tests__/.*\.[cm]?[jt]sx?)$"),
        start=re.compile(
            r"(?<![.\w])(?:(?P<skip>x(?=it|test|specify))?(?:it|test|specify))(?P<how>(?:\.\w+)*)\s*"
            r"(?:\([^()]{0,4000}\)\s*|`[^`]{0,4000}`\s*)?\(\s*(?P<q>[\"'`])(?P<name>.*?)(?P=q)"
        ),
        skip=re.compile(r"\bthis\.skip\(|\bt\.skip\(|\bctx\.skip\("),
        asserts=re.compile(r"\bexpect(?:\.\w+)?\s*\(|\bassert(?:\.\w+)*\s*\(|\.should\b|\bt\.(?:is|deepEqual|true|throws)\("),
        weak=re.compile(r"\.(?:toBeDefined|toBeTruthy|not\.toBeNull|not\.toBeUndefined|not\.toThrow|toBeInstanceOf\(Object)\b"),
        trivial=re.compile(r"\bexpect\(\s*(?:true|1|!0|\"[^\"]*\"|'[^']*')\s*\)|\bassert(?:\.ok)?\(\s*(?:true|1)\s*[,)]"),
        file_skip=re.compile(r"\bx(?:describe|context)\s*\(|\b(?:describe|context|suite)\.(?:skip|todo)\s*\("),
    ),
    Language(
        paths=re.compile(r"_test\.go$"),
        start=re.compile(r"^func\s+(?P<name>(?:Test|Fuzz|Example)\w*)\s*\(", re.MULTILINE),
        skip=re.compile(r"\b\w+\.Skip(?:f|Now)?\(|\A[^\n]*\{\s*return\b"),
        asserts=re.compile(r"\b\w+\.(?:Errorf?|Fatalf?|Fail(?:Now)?)\(|\bcmp\.Diff\(|// Output:"
                           r"|\b(?:assert|require|qt|is)\.\w+\("),
        weak=re.compile(r"\b(?:assert|require)\.(?:NotNil|NotPanics)\("),
        trivial=re.compile(r"\b(?:assert|require)\.True\(\s*\w+,\s*true|\b(?:assert|require)\.Equal\(\s*\w+,\s*(\w+),\s*\1\s*[,)]"),
        file_skip=re.compile(r"^//\s*(?:go:build|\+build)\s+(?:ignore|never|skip)", re.MULTILINE),
    ),
    Language(
        paths=re.compile(r"(?:^|/)src/(?:test|it|androidTest)/.*\.(?:java|kt|groovy|scala)$|(?:Test|Tests|IT)\.(?:java|kt|cs|php)$"),
        start=re.compile(
            rf"(?:{_JUNIT}|\[(?:Fact|Theory|Test|TestMethod)\b)(?:(?!@(?:Test|Parameterized|Repeated)|\[(?:Fact|Theory|Test))[^{{;]"
            r"|\{[^{}]{0,500}\}\)){0,600}?\b(?P<name>\w{1,200}|`[^`\n]{1,200}`)\s{0,9}\((?=[^;{}]{0,300}\{)"
        ),
        skip=re.compile(r"@(?:[\w.]+\.)?(?:Disabled|Ignore)\b|\[Ignore|Skip\s*=|\bassume(?:True\(\s*false|False\(\s*true)|Assumptions\.abort"),
        asserts=re.compile(r"\bassert\w*\s*\(|\bAssert\.\w+\(|\bverify\w*\(|\bfail\(|\bexpected\s*=|\bshould\w+\b|\bexpect\w*\("),
        weak=re.compile(r"\bassertNotNull\(|\bassertDoesNotThrow\(|\bisNotNull\("),
        trivial=re.compile(r"\bassertTrue\(\s*true|\bassertFalse\(\s*false|\bassertEquals\(\s*([\w\"]+),\s*\1\s*\)"),
        file_skip=re.compile(r"@(?:[\w.]+\.)?(?:Disabled|Ignore)\b[^;{}]{0,300}\b(?:class|object)\s"),
        before=True,
    ),
    Language(
        paths=re.compile(r"(?:_test|_spec)\.rb$|(?:^|/)test_[^/]*\.rb$"),
        start=re.compile(
            r"^[ \t]*(?:def\s+(?P<name>test_\w+)|(?P<skip>x(?=it|specify|example))?(?:it|specify|example|test)\b[ (]*"
            r"(?P<q>[\"'])(?P<said>.*?)(?P=q))",
            re.MULTILINE,
        ),
        skip=re.compile(r"^[ \t]*(?:skip|pending)\b|(?:skip|pending):\s*(?:true|[\"'])", re.MULTILINE),
        asserts=re.compile(r"\b(?:assert|refute)\w*\b|\bexpect\b\s*[({]|\.(?:must|wont)_\w+|\.should\b"),
        weak=re.compile(r"\brefute_nil\b|\bnot_to be_nil\b|\bto be_truthy\b"),
        trivial=re.compile(r"\bassert[ (]+true\b|\bexpect\(true\)|\bassert_equal[ (]+(\w+),\s*\1\s*\)?$", re.MULTILINE),
        file_skip=re.compile(r"^[ \t]*x(?:describe|context)\b", re.MULTILINE),
        comments="hash",
    ),
    Language(
        paths=re.compile(r"\.rs$"),
        start=re.compile(r"#\[(?:\w+::)?test\b[^\]]*\](?:\s{0,99}#\[[^\]]{0,200}\]){0,9}\s{0,99}(?:pub\s+)?(?:async\s+)?fn\s+(?P<name>\w+)"),
        skip=re.compile(r"#\[ignore\b"),
        asserts=re.compile(r"\bassert\w*!|\bpanic!|#\[should_panic"),
        weak=re.compile(r"\.is_some\(\)|\.is_ok\(\)"),
        trivial=re.compile(r"\bassert!\(\s*true"),
        file_skip=_NEVER,
        before=True,
    ),
)  # fmt: skip

_PYTHON = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test|tests)\.py$|(?:^|/)tests?/(?:.*/)?[^/]*\.py$")
_STRINGS = r"\"(?:\\.|[^\"\\\n])*+\"?|'(?:\\.|[^'\\\n])*+'?|`(?:\\.|[^`\\])*+`?"
_COMMENTS = {
    "c": re.compile(rf"(?P<kept>{_STRINGS})|//(?!\s*(?:Output:|go:build|\+build))[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL),
    "hash": re.compile(rf"(?P<kept>{_STRINGS})|\#[^\n]*|^=begin(?:.*?^=end|.*)", re.DOTALL | re.MULTILINE),
}
_ROW = re.compile(r"^[ \t]*[\[{(].*[\]})],?[ \t]*$|^[ \t]*@?(?:CsvSource|ValueSource|InlineData).*$", re.MULTILINE)
_TABLE = re.compile(r"\.each\b|\.Run\(|ParameterizedTest|\bTheory\b")


def is_test(path: str) -> bool:
    return _PYTHON.search(path) is not None or any(each.paths.search(path) for each in LANGUAGES)


@lru_cache(maxsize=64)
def read_tests(path: str, text: str | None) -> tuple[Case, ...]:
    """The cases of a file, in their order; none for a file that is no test."""
    if not text:
        return ()
    text = text[:MAX_TEST]
    if _PYTHON.search(path):
        return tuple(Case(*case) for case in read_python(text))
    language = next((each for each in LANGUAGES if each.paths.search(path)), None)
    return () if language is None else tuple(_cases(language, text))


def _cases(language: Language, text: str) -> list[Case]:
    plain = _COMMENTS[language.comments].sub(lambda found: found["kept"] or re.sub(r"[^\n]", " ", found[0]), text)
    starts = list(language.start.finditer(plain))
    off = language.file_skip.search(plain)
    cases = []
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(plain)
        segment = plain[start.start() : end]
        cases.append(_case(language, start, segment, plain, "its suite is skipped" if off else ""))
    return cases


def _case(language: Language, start: re.Match[str], segment: str, plain: str, off: str) -> Case:
    groups = start.groupdict()
    how = groups.get("how") or ""
    found = language.skip.search(segment[: start.end() - start.start()] if language.before else segment)
    ahead = plain[: start.start()].rsplit("}", 1)[-1].rsplit(";", 1)[-1] if language.before else ""
    skipped = off
    if groups.get("skip") or re.search(r"\.(?:skip|todo|fixme|fails|failing)\b", how):
        skipped = start[0].split("(")[0].strip()
    elif found := found or (language.skip.search(ahead) if language.before else None):
        skipped = " ".join(found[0].split())
    elif language.before and re.search(r"assume(?:True\(\s*false|False\(\s*true)", segment):
        skipped = "an assumption that never holds"
    trivial, weak = len(language.trivial.findall(segment)), len(language.weak.findall(segment))
    strong = max(0, len(language.asserts.findall(segment)) - trivial - weak)
    rows = max(1, len(_ROW.findall(segment))) if _TABLE.search(segment[:200] + how) or ".Run(" in segment else 1
    name = groups.get("name") or groups.get("said") or ""
    return Case(
        name,
        plain.count("\n", 0, start.start("name") if groups.get("name") else start.start()) + 1,
        rows,
        strong,
        weak,
        skipped,
    )
