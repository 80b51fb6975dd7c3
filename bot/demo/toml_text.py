"""Writes TOML. The standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def toml(document: Mapping[str, Any]) -> str:
    """A document of tables as TOML: scalars first in each table, lists of more than one item a line each."""
    return "\n".join(_tables((), document)).strip() + "\n"


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    scalars = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if scalars or (path and not table):
        yield f"[{'.'.join(map(_key, path))}]"
        yield from (f"{_key(key)} = {_toml_value(value)}" for key, value in scalars.items())
        yield ""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _tables((*path, key), value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        items = [_toml_value(item) for item in value]
        return "[" + ", ".join(items) + "]" if len(items) < 2 else "[\n" + "".join(f"  {item},\n" for item in items) + "]"
    # A JSON string is a TOML string too.
    return json.dumps(value, ensure_ascii=False)
