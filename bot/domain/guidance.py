"""What a Claude session is given besides its prompt: skills, subagents, and the schema that its result must fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7

from bot.domain.redaction import one_line

MAX_SCHEMA_BYTES = 64 * 1024
"""It reaches Claude Code as one argument of its command line, and Linux allows 128 KiB there."""

DRAFT = "http://json-schema.org/draft-07/schema#"
"""What Claude Code reads; it refuses every other `$schema`."""

Schema = Mapping[str, Any]

_FRONT_MATTER = re.compile(r"---\r?\n(.*?)\r?\n---(?:\r?\n|\Z)", re.DOTALL)


def check_skills(paths: Iterable[str]) -> None:
    """Raises ValueError unless there is a skill among the files of a folder, whose paths below it these are."""
    if not any(re.fullmatch(r"[^/]+/SKILL\.md", path) for path in paths):
        raise ValueError("there is no skill in it: a skill is a folder with a SKILL.md")


def check_subagents(files: Mapping[str, str]) -> None:
    """Raises ValueError unless each Markdown file, by its path below a folder, is a subagent: Claude Code skips others."""
    agents = {path: text for path, text in files.items() if path.endswith(".md")}
    if not agents:
        raise ValueError("there is no subagent in it: a subagent is a file NAME.md")
    for path, text in agents.items():
        found = _FRONT_MATTER.match(text)
        for key in ("name", "description"):
            if found is None or not re.search(rf"^{key}:[ \t]*\S", found[1], re.MULTILINE):
                raise ValueError(f"{path} is no subagent: its front matter has no `{key}:`")


def read_schema(text: str) -> dict[str, Any]:
    """The schema in a file's text. Raises ValueError, with the line for what is no JSON."""
    try:
        return check_schema(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is no JSON: {error.msg}") from error


def check_schema(schema: Any) -> dict[str, Any]:
    """The schema itself. Raises ValueError for one that cannot be used."""
    if not isinstance(schema, dict) or schema.get("$schema", DRAFT) != DRAFT:
        raise ValueError(f"it must be an object, and its `$schema` {DRAFT} or left out: Claude Code reads no other")
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {_told(error.json_path, error.message)}") from error
    if schema.get("type") != "object":
        raise ValueError("it must describe an object (`type: object`): that is all that Claude Code can give")
    _check_references(schema)
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"it is larger than {MAX_SCHEMA_BYTES // 1024} KB")
    return schema


def mismatch(schema: Schema, value: Any) -> str:
    """Where and why a value does not fit the schema; empty where it does."""
    worst = best_match(Draft7Validator(schema, registry=Registry()).iter_errors(value))
    return _told(worst.json_path, worst.message) if worst else ""


def _told(path: str, message: str) -> str:
    return f"{path}: {one_line(message, 500)}"


def _check_references(schema: dict[str, Any]) -> None:
    within: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT7)
    resolver = Registry().with_resource("", within).resolver()
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise ValueError(f"`$ref: {reference}` leads nowhere in it, and nothing is fetched") from error


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)
