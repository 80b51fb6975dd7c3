"""Templates: Jinja2 in its immutable sandbox, from the templates folders alone, with every mistake at its line.

What a repository says (its name, its description, its files) is only ever a value: a template's source is the operator's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any

from jinja2 import (
    FileSystemBytecodeCache,
    FunctionLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.domain.markdown import cell, fenced, neutral
from bot.domain.policy_files import nearest
from bot.domain.redaction import one_line
from bot.domain.steps import ClaudeStep
from bot.errors import PolicyError

MAX_CHARACTERS = 2_000_000
"""Of one rendering: far above any file that a person would review."""

INLINE = "<inline>"
"""What a template without a file is called in an error's place."""

_RUNTIME_ERRORS = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


class Renderer:
    """Renders templates by their path below one of `roots`; the first root that has it wins.

    An undefined name is an error. A block tag alone on its line leaves no line behind; a final newline stays.
    """

    def __init__(self, roots: Sequence[Path], *, compiled: Path | None = None):
        """`compiled` is a folder, this user's alone, that keeps what was compiled for the next process."""
        self._files = _plain_files(roots)
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._load),
            bytecode_cache=FileSystemBytecodeCache(str(compiled)) if compiled else None,
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(FILTERS)

    def render(self, template_path: str, variables: Mapping[str, Any]) -> str:
        """Raises PolicyError, with template and line, for a missing or broken template, or a name that is not there."""
        return self._render(template_path, lambda: self._environment.get_template(template_path), variables)

    def render_text(self, source: str, variables: Mapping[str, Any]) -> str:
        """Render a string that the operator wrote into a policy, such as `branch:` or `prompt:`. Raises PolicyError."""
        return self._render(INLINE, lambda: self._environment.from_string(source), variables)

    def source(self, path: str) -> str:
        """A file as it is. Raises PolicyError where there is none."""
        found = self._load(path)
        if found is None:
            raise self._not_found(path, path)
        return found[0]

    def below(self, folder: str) -> dict[str, str]:
        """The files of a folder as they are, by their path below it. Raises PolicyError where there is none."""
        root = f"{folder.rstrip('/')}/"
        paths = [path for path in self._files if path.startswith(root)]
        if not paths:
            raise self._not_found(folder, folder)
        return {path.removeprefix(root): self.source(path) for path in sorted(paths)}

    def _render(self, name: str, compiled: Callable[[], Template], variables: Mapping[str, Any]) -> str:
        try:
            return "".join(_bounded(compiled().generate(variables), name))
        except TemplateNotFound as error:
            raise self._not_found(name, str(error.name)) from error
        except TemplateSyntaxError as error:
            raise self._broken(error, name) from error
        except UndefinedError as error:
            place = self._place(error, name)
            raise PolicyError(str(error.message), place=place, mend=_near_name(str(error.message), variables)) from error
        except _RUNTIME_ERRORS as error:
            raise PolicyError(f"{type(error).__name__}: {error}", place=self._place(error, name)) from error

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        file = self._files.get(name)
        if file is None:
            return None
        try:
            return file.read_bytes().decode(), str(file), lambda: True
        except UnicodeDecodeError as error:
            raise PolicyError("is not UTF-8", place=name) from error

    def _not_found(self, name: str, missing: str) -> PolicyError:
        near = nearest(missing, self._files)
        return PolicyError(f"there is no template {missing}", place=name, mend=f"did you mean {near}?" if near else "")

    def _broken(self, error: TemplateSyntaxError, name: str) -> PolicyError:
        """Jinja2 reports an unknown filter or test as a syntax error too."""
        message = str(error.message)
        unknown = re.match(r"No (filter|test) named '(\w+)'", message)
        known = {"filter": self._environment.filters, "test": self._environment.tests}
        near = nearest(unknown[2], known[unknown[1]]) if unknown else ""
        return PolicyError(message, place=f"{error.name or name}:{error.lineno}", mend=f"did you mean {near}?" if near else "")

    def _place(self, error: BaseException, name: str) -> str:
        """The innermost line of a template that was being rendered."""
        names = {str(file): template for template, file in self._files.items()} | {"<template>": INLINE}
        for frame in reversed(extract_tb(error.__traceback__)):
            if frame.filename in names:
                return f"{names[frame.filename]}:{frame.lineno}"
        return name


def prompt_of(step: ClaudeStep, templates: Renderer, variables: Mapping[str, Any], words: str = "") -> str:
    """What a Claude step asks first; `words` are a person's, on an earlier attempt. Raises PolicyError."""
    asked = templates.render(step.claude, variables) if step.claude else templates.render_text(step.prompt or "", variables)
    parts = [asked.strip()]
    if step.files:
        parts.append("Look at these files first:\n" + "\n".join(f"- {path}" for path in step.files))
    if step.template and step.to:
        parts.append(follow_template(step.to, templates.render(step.template, variables)))
    if words:
        parts.append(heed(words))
    return "\n\n".join(parts) + "\n"


def follow_template(path: str, template: str) -> str:
    """The part of a prompt that asks for a file after a template."""
    return (
        f"Make sure that the file `{path}` exists and follows this template. What the repository needs beyond the template "
        f"stays; what the template only shows as an example takes the repository's own values.\n\n"
        f"{fenced(template)}"
    )


def heed(words: str) -> str:
    """The part of a prompt with what a person wants to be done otherwise."""
    return (
        "An earlier attempt at this was reviewed. A person who may direct this work asks in addition, in their own words:\n\n"
        f"{fenced(words)}"
    )


def _plain_files(roots: Sequence[Path]) -> dict[str, Path]:
    """Every file by its path below the first root that has it. What a link leads to is not there."""
    files: dict[str, Path] = {}
    for root in (root.resolve() for root in roots):
        for file in root.rglob("*"):
            if file.is_file() and file.resolve() == file:
                files.setdefault(file.relative_to(root).as_posix(), file)
    return files


def quoted(value: Any) -> str:
    """In double quotes, as JSON, YAML and TOML all read it."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def slug(value: str) -> str:
    """For a branch or a file name: lower case, everything but letters and digits is one `-`."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")


FILTERS: dict[str, Callable[..., str]] = {
    "cell": cell,
    "line": one_line,
    "neutral": neutral,
    "quoted": quoted,
    "slug": slug,
}
"""What templates have besides Jinja2's own filters; templates/README.md says what each is for."""


def _bounded(pieces: Iterator[str], name: str) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise PolicyError(f"renders to more than {MAX_CHARACTERS:,} characters", place=name)
        yield piece


def _near_name(message: str, variables: Mapping[str, Any]) -> str:
    """The nearest variable, or key of a variable, to the name that an error is about."""
    wrong = re.search(r"has no attribute '(\w+)'|'(\w+)' is undefined", message)
    if wrong is None:
        return ""
    keys = (str(key) for value in variables.values() if isinstance(value, Mapping) for key in value)
    near = nearest(wrong[1], keys) if wrong[1] else nearest(wrong[2], variables)
    return f"did you mean {near}?" if near else ""
