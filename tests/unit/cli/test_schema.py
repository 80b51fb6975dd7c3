"""The JSON Schemas that editors read are those of the models, and the shipped policies say where they are."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from bot.cli.schema import MODELS, json_schema

POLICIES = Path(__file__).parents[3] / "policies"
SHIPPED = sorted([*POLICIES.glob("campaigns/*.yaml"), *POLICIES.glob("orgs/*.yaml")])


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_the_shipped_schema_is_the_models(kind: str) -> None:
    shipped = (POLICIES / "schemas" / f"{kind}.json").read_text(encoding="utf-8")
    assert shipped == json_schema(kind), "run: whimbrel schema --write policies/schemas"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_policy_names_its_schema_and_fulfils_it(file: Path) -> None:
    modeline = file.read_text(encoding="utf-8").splitlines()[0]
    assert modeline.startswith("# yaml-language-server: $schema=../schemas/")
    kind = Path(modeline.partition("=")[2]).stem
    jsonschema.validate(YAML(typ="safe").load(file), json.loads(json_schema(kind)))


def test_an_unknown_key_is_seen_by_the_editor() -> None:
    policy = YAML(typ="safe").load(POLICIES / "campaigns" / "standardize.yaml") | {"stepz": []}
    with pytest.raises(jsonschema.ValidationError, match="stepz"):
        jsonschema.validate(policy, json.loads(json_schema("campaign")))
