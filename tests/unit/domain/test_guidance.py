from __future__ import annotations

import json
from typing import Any

import pytest

from bot.domain.guidance import MAX_SCHEMA_BYTES, check_schema, check_skills, check_subagents, mismatch, read_schema

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"found": {"type": "array", "items": {"$ref": "#/$defs/finding"}}, "$ref": {"type": "string"}},
    "$defs": {"finding": {"type": "object", "required": ["file"]}},
}
AGENT = "---\nname: reviewer\ndescription: Reviews.\n---\nReview it.\n"


def test_a_schema_comes_back_as_it_is() -> None:
    assert check_schema(SCHEMA) == SCHEMA
    assert read_schema(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "must be an object"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}, "reads no other"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, r"it is no JSON Schema: \$\.properties\.a\.type: 'strin'"),
        ({"type": "array"}, "must describe an object"),
        ({"properties": {}}, "must describe an object"),
        (
            {"type": "object", "allOf": [{"$ref": "https://example.com/a.json"}]},
            "`.ref: https://example.com/a.json` leads nowhere",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "`.ref: #/.defs/b` leads nowhere"),
        ({"type": "object", "description": "x" * MAX_SCHEMA_BYTES}, "larger than 64 KB"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_schema(schema)


def test_what_is_no_json_is_told_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        read_schema('{"type":\n object}')


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"found": [{"file": "a"}]}, ""),
        ({"found": [{"file": "a"}, {}]}, "$.found[1]: 'file' is a required property"),
        ([], "$: [] is not of type 'object'"),
        ({"found": "\x1b[31mred"}, "$.found: '\\x1b[31mred' is not of type 'array'"),
    ],
)
def test_a_mismatch_says_where_and_why(value: Any, problem: str) -> None:
    assert mismatch(SCHEMA, value) == problem


def test_a_folder_of_skills_has_a_skill() -> None:
    check_skills(["packaging/SKILL.md", "packaging/check.py"])
    with pytest.raises(ValueError, match="there is no skill in it"):
        check_skills(["SKILL.md", "packaging/skill.md", "a/b/SKILL.md"])


def test_subagents_have_a_name_and_a_description() -> None:
    check_subagents({"reviewer.md": AGENT, "notes.txt": ""})
    check_subagents({"reviewer.md": AGENT.replace("\n", "\r\n")})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no subagent in it"),
        ({"a.txt": AGENT}, "no subagent in it"),
        ({"a.md": "Review it."}, "a.md is no subagent: its front matter has no `name:`"),
        ({"a.md": AGENT.replace("Reviews.", "")}, "a.md is no subagent: its front matter has no `description:`"),
        ({"a.md": AGENT, "b.md": "---\nx: 1\n---\nname: b\n"}, "b.md is no subagent"),
    ],
)
def test_what_claude_code_would_skip_is_refused(files: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_subagents(files)
