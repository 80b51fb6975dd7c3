"""YAML as plain data that remembers its lines. The text may be a stranger's: what it can cost is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bot.errors import PolicyError

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
"""Counted with every alias spelled out: a few lines of aliases to aliases cannot become a million values."""
MAX_DEPTH = 32
MAX_KEY = 200

Location = tuple[str | int, ...]
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_PLAIN = {_TIMESTAMP, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))}


@dataclass(frozen=True, slots=True)
class Document:
    """`data` is made of dict, list, str, int, float, bool and None; `lines` has the line (from 1) of each key and entry."""

    data: Any
    lines: dict[Location, int]

    def line_of(self, location: Sequence[str | int]) -> int:
        """The line of a location, or of the nearest thing around it that is written down."""
        parts = tuple(location)
        while parts not in self.lines and parts:
            parts = parts[:-1]
        return self.lines.get(parts, 1)


def read_yaml(text: str, source: str) -> Document:
    """Read one YAML 1.2 document. Raises PolicyError with `source:line` for what is no YAML, a key that is there twice,
    a tag, and a document that is too large, too deep, or has too many values."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise PolicyError(f"is larger than {MAX_BYTES // 1024} KB", place=source)
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        return _Reader(yaml, source).document(node)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(_words(error), place=f"{source}:{mark.line + 1}" if mark else source) from error
    except YAMLError as error:
        raise PolicyError(f"is no YAML: {_first_line(str(error))}", place=source) from error
    except RecursionError as error:
        raise PolicyError("is nested too deeply", place=source) from error


class _Reader:
    """Turns nodes into data, and notes where each one begins."""

    def __init__(self, yaml: YAML, source: str):
        self._yaml, self._source = yaml, source
        self._lines: dict[Location, int] = {}
        self._count = 0

    def document(self, node: Node | None) -> Document:
        if node is None:
            return Document(None, {(): 1})
        self._lines[()] = node.start_mark.line + 1
        return Document(self._value(node, ()), self._lines)

    def _value(self, node: Node, location: Location) -> Any:
        self._count += 1
        if self._count > MAX_NODES or len(location) > MAX_DEPTH:
            raise self._error(node, "has too many values, or is nested too deeply")
        if node.tag not in _PLAIN:
            raise self._error(node, f"`{node.tag}` is not used in a policy: write plain values")
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return self._sequence(node, location)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in data:
                raise self._error(key_node, f"`{key}` is there twice, first on line {self._lines[(*location, key)]}")
            self._lines[(*location, key)] = key_node.start_mark.line + 1
            data[key] = self._value(value_node, (*location, key))
        return data

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or not str(node.value).isprintable() or len(node.value) > MAX_KEY:
            raise self._error(node, "a key is a short text without control characters")
        return str(node.value)

    def _sequence(self, node: SequenceNode, location: Location) -> list[Any]:
        data = []
        for index, item in enumerate(node.value):
            self._lines[(*location, index)] = item.start_mark.line + 1
            data.append(self._value(item, (*location, index)))
        return data

    def _scalar(self, node: Node) -> Any:
        if node.tag == _TIMESTAMP:
            return str(node.value)
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, LookupError) as error:
            raise self._error(node, f"{str(node.value)[:60]!r} is not what its tag says, or too long a number") from error

    def _error(self, node: Node, words: str) -> PolicyError:
        return PolicyError(words, place=f"{self._source}:{node.start_mark.line + 1}")


def _words(error: MarkedYAMLError) -> str:
    said = [_first_line(part) for part in (error.context, error.problem) if part]
    return f"is no YAML: {', '.join(said)}"


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
