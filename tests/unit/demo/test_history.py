from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.demo.history import Commit, parse_history
from bot.domain.changesets import FileChange, FileMode

HISTORY = """\
== 2022-09-12T09:14 Mina Okafor: Begin: a package

-- package/__init__.py --
-- docs/größe - 1.md --

# Size

A dash -- in a line is no marker.

-- hook -- executable
#!/bin/sh

== 2022-09-13T10:00 Jonas Weber: Add a picture and a link

-- logo.png -- base64
iVBO
Rw0K
-- docs/link -> ../out
"""


def test_commits_files_and_modes() -> None:
    first = (
        FileChange("package/__init__.py", FileMode.REGULAR, b""),
        FileChange("docs/größe - 1.md", FileMode.REGULAR, b"# Size\n\nA dash -- in a line is no marker.\n"),
        FileChange("hook", FileMode.EXECUTABLE, b"#!/bin/sh\n"),
    )
    second = (
        FileChange("logo.png", FileMode.REGULAR, b"\x89PNG\r\n"),
        FileChange("docs/link", FileMode.LINK, b"../out"),
    )
    assert parse_history(HISTORY) == [
        Commit(datetime(2022, 9, 12, 9, 14, tzinfo=UTC), "Mina Okafor", "Begin: a package", first),
        Commit(datetime(2022, 9, 13, 10, 0, tzinfo=UTC), "Jonas Weber", "Add a picture and a link", second),
    ]


def test_no_text_is_no_commit() -> None:
    assert parse_history("") == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("setup.py\n== 2022-09-12 Mina: x\n", "'setup.py'"),
        ("== yesterday\n", "yesterday"),
        ("== 2022-09-12 Mina: x\nlost line\n", "2022-09-12 Mina: x"),
        ("== 2022-09-12 Mina: x\n-- a -- gzip\n", "-- a -- gzip"),
        ("== today Mina: x\n", "today"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_history(text)
