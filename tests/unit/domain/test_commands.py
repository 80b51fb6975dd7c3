"""Comment commands: what is one, what is nearly one, and what is none of the bot's business."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.commands import MAX_WORDS, USAGE, Command, Misspelt, Verb, parse

POLICY = Command(Verb.RUN, policy="standardize")


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("/whimbrel run standardize", POLICY),
        ("/whimbrel plan standardize", Command(Verb.PLAN, policy="standardize")),
        ("/whimbrel retry", Command(Verb.RETRY)),
        ("/whimbrel retry keep  setup.cfg, @acme/x needs it", Command(Verb.RETRY, words="keep setup.cfg, @acme/x needs it")),
        ("/whimbrel rebase", Command(Verb.REBASE)),
        ("/whimbrel close", Command(Verb.CLOSE)),
        ("/whimbrel status", Command(Verb.STATUS)),
        ("/whimbrel help", Command(Verb.HELP)),
        ("/whimbrel", Command(Verb.HELP)),
        ("   /whimbrel run standardize   ", POLICY),
        ("/whimbrel run standardize\r\nThank you!\r\n", POLICY),
        ("/whimbrel\trun\tstandardize\rThank you!", POLICY),
        ("\n \r\n/whimbrel run standardize", POLICY),
        ("\ufeff/whimbrel run standardize", POLICY),
        ("/Whimbrel Run Standardize", POLICY),
        ("/whimbrel\u00a0run\u00a0standardize", POLICY),
    ],
)
def test_commands(body: str, command: Command) -> None:
    assert parse(body) == command


@pytest.mark.parametrize(
    "body",
    [
        "",
        "   \n\n",
        "Looks good!\n/whimbrel run standardize",
        "> /whimbrel run standardize",
        ">/whimbrel run standardize",
        "    /whimbrel run standardize",
        "\t/whimbrel run standardize",
        "```\n/whimbrel run standardize\n```",
        "~~~ sh\n/whimbrel run standardize",
        "`/whimbrel run standardize`",
        "<!--\n/whimbrel run standardize -->",
        "- /whimbrel run standardize",
        "@whimbrel run standardize",
        "@whimbrel[bot] /whimbrel run standardize",
        "whimbrel run standardize",
        "//whimbrel run standardize",
        "/whimbrels run standardize",
        "/whimbrel-run standardize",
        "/whimbrel/run",
        "\uff0fwhimbrel run standardize",
        "/wh\u0456mbrel run standardize",
        "/wh\u0131mbrel run standardize",
        "/whim\u200bbrel run standardize",
        "\u202e/whimbrel run standardize",
        "/whimbrel\x00run standardize",
    ],
)
def test_what_is_addressed_to_nobody(body: str) -> None:
    assert parse(body) is None


@pytest.mark.parametrize(
    ("body", "problem", "usage"),
    [
        ("/whimbrel rnu standardize", "there is no command `rnu`", "run POLICY"),
        ("/whimbrel rebsae", "there is no command `rebsae`", "rebase"),
        ("/whimbrel merge", "there is no command `merge`", ""),
        ("/whimbrel `@acme/all`", "there is no command `'@acme/all'`", ""),
        ("/whimbrel " + "x" * 100, f"there is no command `{'x' * 59}…`", ""),
        ("/whimbrel run", "`run` is followed by the name of one policy", "run POLICY"),
        ("/whimbrel plan a b", "`plan` is followed by the name of one policy", "plan POLICY"),
        ("/whimbrel close when CI is green", "`close` is followed by nothing else", "close"),
        ("/whimbrel cl\u043ese", "there is no command `cl\u043ese`: it has characters other than a to z", "close"),
        (
            "/whimbrel re\u200btry",
            "there is no command `retry`: it has characters other than a to z",
            "retry [words for the agent]",
        ),
        ("/whimbrel \u212aelp", "there is no command `\u212aelp`: it has characters other than a to z", "help"),
    ],
)
def test_what_is_nearly_a_command(body: str, problem: str, usage: str) -> None:
    assert parse(body) == Misspelt(problem, usage)


def test_words_are_bounded_and_hide_nothing() -> None:
    assert parse("/whimbrel retry a\u202eb\u200bc \x1b[31mred\x1b[0m") == Command(Verb.RETRY, words="abc red")
    assert parse("/whimbrel retry " + "x" * MAX_WORDS) == Command(Verb.RETRY, words="x" * MAX_WORDS)
    refused = parse("/whimbrel retry " + "x" * (MAX_WORDS + 1))
    assert refused == Misspelt("1,001 characters are too many: the words for the agent are at most 1,000", USAGE[Verb.RETRY])


def test_the_usage_that_is_shown_is_understood() -> None:
    assert {parse(f"/whimbrel {usage}") for usage in USAGE.values()} >= {Command(verb) for verb in (Verb.CLOSE, Verb.HELP)}
    assert not any(isinstance(parse(f"/whimbrel {usage}"), Misspelt) for usage in USAGE.values())


PIECES = st.sampled_from(
    ["/whimbrel", " ", "\n", "\r\n", "> ", "```", "retry", "run", "x", "@bot", "\u200b", "\u2028", "\t", "`"]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text().map("/whimbrel {}".format) | st.text())
def test_only_a_first_line_counts_and_what_is_told_back_is_harmless(body: str) -> None:
    found = parse(body)
    lines = [line for line in body.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n") if line.strip()]
    assert parse(lines[0] if lines else "") == found
    if found is not None:
        assert lines[0].lstrip(" ").lower().startswith("/whimbrel")
    if isinstance(found, Command):
        assert len(found.words) <= MAX_WORDS
        assert "\n" not in found.words
    if isinstance(found, Misspelt):
        assert "\n" not in found.problem
        assert found.problem.count("`") in (0, 2)
        assert len(found.problem) < 150
