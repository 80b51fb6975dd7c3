"""A marked block in a file: everything around it stays to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.blocks import with_block
from bot.errors import ChangeRefused

BEGIN, END = "<!-- whimbrel:tidy begin -->", "<!-- whimbrel:tidy end -->"
TEXTS = st.text(alphabet=st.sampled_from("ab#<! \t\r\n\x0b\u2028"), max_size=60)


def put(text: str | None, body: str = "New\n", path: str = "README.md") -> str:
    return with_block(path, text, "tidy", body)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"{BEGIN}\nNew\n{END}\n"),
        ("", f"{BEGIN}\nNew\n{END}\n"),
        ("# A\n", f"# A\n\n{BEGIN}\nNew\n{END}\n"),
        ("# A\n\n", f"# A\n\n{BEGIN}\nNew\n{END}\n"),
        ("# A", f"# A\n\n{BEGIN}\nNew\n{END}"),
        ("# A\r\nb\r\n", f"# A\r\nb\r\n\r\n{BEGIN}\r\nNew\r\n{END}\r\n"),
        (f"a\n{BEGIN}\nOld\nOlder\n{END}\nz\n", f"a\n{BEGIN}\nNew\n{END}\nz\n"),
        (f"a\r\n{BEGIN}\r\nOld\r\n{END}\r\nz", f"a\r\n{BEGIN}\r\nNew\r\n{END}\r\nz"),
        (f"a\n{BEGIN}\nOld\n{END}", f"a\n{BEGIN}\nNew\n{END}"),
        (f"\ufeff{BEGIN}\n{END}\n", f"\ufeff{BEGIN}\nNew\n{END}\n"),
        (f"- a\n  {BEGIN}\n  {END}\n", f"- a\n  {BEGIN}\nNew\n  {END}\n"),
    ],
)
def test_the_block_is_put_in(before: str | None, after: str) -> None:
    assert put(before) == after


@pytest.mark.parametrize(
    ("path", "first_line"),
    [
        ("a/b.MD", BEGIN),
        ("ci.yml", "# whimbrel:tidy begin"),
        ("Makefile", "# whimbrel:tidy begin"),
        (".gitignore", "# whimbrel:tidy begin"),
        ("CODEOWNERS", "# whimbrel:tidy begin"),
        ("index.ts", "// whimbrel:tidy begin"),
        ("site.css", "/* whimbrel:tidy begin */"),
        ("schema.sql", "-- whimbrel:tidy begin"),
        ("README.rst", ".. whimbrel:tidy begin"),
    ],
)
def test_the_markers_are_comments_of_the_file_s_type(path: str, first_line: str) -> None:
    assert put(None, path=path).splitlines()[0] == first_line


@pytest.mark.parametrize("path", ["package.json", "logo.png", "LICENSE"])
def test_a_type_without_comments_holds_no_block(path: str) -> None:
    with pytest.raises(ChangeRefused, match="can hold no block"):
        put("x", path=path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"a\n{BEGIN}\nb\n", r"README\.md:2: .* \(lines 2\)"),
        (f"a\nb\n{END}\n", r"README\.md:3: .* \(lines 3\)"),
        (f"{END}\n{BEGIN}\n", r"README\.md:1: .* \(lines 1, 2\)"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", r"README\.md:1: .* \(lines 1, 2, 3, 4\)"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", r"README\.md:1: .* \(lines 1, 2, 3\)"),
    ],
)
def test_broken_markers_are_refused_with_their_lines(text: str, place: str) -> None:
    with pytest.raises(ChangeRefused, match=place):
        put(text)


def test_a_value_cannot_close_the_block() -> None:
    with pytest.raises(ChangeRefused, match="holds the block's own marker"):
        put("x", f"description:\n{END}\n# mine now\n")


def test_another_policy_s_block_is_left_alone() -> None:
    first = with_block("README.md", "# A\n", "other", "Other")
    both = put(first)
    assert both.startswith(first)
    assert with_block("README.md", both, "other", "Other") == both


@given(text=TEXTS, body=TEXTS)
def test_putting_it_in_twice_changes_nothing_more(text: str, body: str) -> None:
    once = put(text, body)
    assert put(once, body) == once


@given(text=TEXTS, first=TEXTS, second=TEXTS)
def test_the_rest_of_the_file_stays(text: str, first: str, second: str) -> None:
    changed = put(put(text, first), second)
    assert changed.startswith(text)
    assert changed == put(text, second)
