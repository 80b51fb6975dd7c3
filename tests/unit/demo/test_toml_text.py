from __future__ import annotations

import tomllib

from bot.demo.toml_text import toml


def test_toml_of_awkward_values_reads_back() -> None:
    document = {
        "a": {"": "empty key", "dotted.key": 'quote " and \\ and ü and \n', "flags": [True, 1, "x"], "none": []},
        "empty": {},
        "people": {"list": [{"name": "Ada", "e": {"x": 1}}]},
    }
    assert tomllib.loads(toml(document)) == document
