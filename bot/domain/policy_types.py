"""What every policy's keys are made of: names, paths, patterns, amounts; a wrong one says what it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import pathspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from bot.domain.guidance import check_schema

T = TypeVar("T")


def path_rules(patterns: Sequence[str]) -> pathspec.PathSpec[Any]:
    """Patterns written as in .gitignore; the last one that matches a path, or a folder that it is in, decides.

    Not git's own rule (pathspec's GitIgnoreSpec): there, a pattern that shuts out a folder lets through the files in it
    which an earlier pattern had named, and `["**", "!secrets/"]` would admit secrets/key. Raises ValueError.
    """
    return pathspec.PathSpec.from_lines("gitignore", patterns)


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError(f"{value!r} is no name: up to 63 of a-z, 0-9 and `-`, and the first is no `-`")
    return value


def _result_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", value):
        raise ValueError(f"{value!r} is no name of a result: up to 63 of a-z, 0-9 and `_`, and the first is a letter")
    return value


def _relative_path(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise ValueError(f"{value!r} is no path below the root: no leading `/`, no `..`")
    return value


def _schema_or_path(value: str | dict[str, Any]) -> str | dict[str, Any]:
    return _relative_path(value) if isinstance(value, str) else check_schema(value)


def _pattern(value: str) -> str:
    if not value.strip() or value.startswith("#"):
        raise ValueError(f"{value!r} matches nothing; patterns are written as in .gitignore")
    path_rules([value])
    return value


def unique(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} is there twice")
    return values


Name = Annotated[str, AfterValidator(_name)]
ResultName = Annotated[str, AfterValidator(_result_name)]
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)]
RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_relative_path)]
Pattern = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_pattern)]
Text = Annotated[str, StringConstraints(min_length=1)]
OutputSchema = Annotated[Text | dict[str, Any], AfterValidator(_schema_or_path)]
Minutes = Annotated[float, Field(gt=0, le=720)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
