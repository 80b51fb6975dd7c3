"""A marked block inside a file that is otherwise its repository's own.

<!-- whimbrel:standardize begin -->
What is between the markers is the bot's; everything else is left as it is.
<!-- whimbrel:standardize end -->
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.errors import ChangeRefused

_COMMENTS = {
    ("<!-- ", " -->"): "md markdown html htm xml svg vue",
    ("# ", ""): "py pyi sh bash zsh fish rb pl r yaml yml toml cfg conf ini properties tf env mk nix ps1 "
    "dockerfile containerfile makefile gemfile rakefile vagrantfile procfile jenkinsfile codeowners requirements "
    "gitignore gitattributes dockerignore editorconfig npmrc npmignore eslintignore prettierignore helmignore txt",
    ("// ", ""): "js mjs cjs jsx ts tsx java kt kts go rs c h cc cpp hpp cs swift scala groovy gradle php dart proto jsonc",
    ("/* ", " */"): "css scss less",
    ("-- ", ""): "sql lua hs elm",
    (".. ", ""): "rst",
}
_COMMENT_OF = {kind: comment for comment, kinds in _COMMENTS.items() for kind in kinds.split()}


@dataclass(frozen=True, slots=True)
class Markers:
    """The two lines around a block."""

    begin: str
    end: str


def markers(path: str, name: str) -> Markers:
    """In the comment style of the file's type. Raises ChangeRefused for a type without comments, such as JSON."""
    file = PurePosixPath(path)
    kind = file.suffix.lstrip(".") or file.name.lstrip(".")
    try:
        opening, closing = _COMMENT_OF[kind.lower()]
    except KeyError as error:
        raise ChangeRefused([f"{path}: how a comment is written there is not known, so it can hold no block"]) from error
    return Markers(f"{opening}whimbrel:{name} begin{closing}", f"{opening}whimbrel:{name} end{closing}")


def with_block(path: str, text: str | None, name: str, body: str) -> str:
    """The file with `body` as its block `name`: in place of the earlier one, or at the end.

    The rest stays as it is, to the byte; the block takes the file's line endings, and a file without a final newline stays
    without. Raises ChangeRefused, with the line, where the markers there are not one pair.
    """
    marks = markers(path, name)
    lines = body.replace("\r\n", "\n").strip("\n").split("\n") if body.strip("\n") else []
    if any(line.strip() in (marks.begin, marks.end) for line in lines):
        raise ChangeRefused([f"{path}: what the template renders holds the block's own marker"])
    if not text:
        return "\n".join([marks.begin, *lines, marks.end]) + "\n"
    carriage_return = "\r" if line_ending(text) == "\r\n" else ""
    lines = [line + carriage_return for line in lines]
    there = text.split("\n")
    found = _find_block(path, there, marks)
    if found is None:
        return _appended(text, [marks.begin + carriage_return, *lines, marks.end + carriage_return])
    begin, end = found
    return "\n".join([*there[: begin + 1], *lines, *there[end:]])


def line_ending(text: str) -> str:
    """What most lines end with: "\\r\\n" or "\\n"."""
    return "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"


def _find_block(path: str, lines: list[str], marks: Markers) -> tuple[int, int] | None:
    """The indexes of the marker lines; None without any."""
    bare = [line.strip("\ufeff \t\r") for line in lines]
    begins = [index for index, line in enumerate(bare) if line == marks.begin]
    ends = [index for index, line in enumerate(bare) if line == marks.end]
    if not begins and not ends:
        return None
    if len(begins) == len(ends) == 1 and begins[0] < ends[0]:
        return begins[0], ends[0]
    where = ", ".join(str(index + 1) for index in sorted([*begins, *ends]))
    raise ChangeRefused([f"{path}:{min(begins + ends) + 1}: `{marks.begin}` and its end are not one pair (lines {where})"])


def _appended(text: str, block: list[str]) -> str:
    ending = line_ending(text)
    final_newline = text.endswith("\n")
    gap = "" if text.endswith(ending * 2) else ending
    return f"{text}{'' if final_newline else ending}{gap}" + "\n".join(block).rstrip("\r") + (ending if final_newline else "")
