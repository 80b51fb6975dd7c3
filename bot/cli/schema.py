"""schema: JSON Schema of the policy files, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import BaseModel

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy, RepositoryPolicy

MODELS: dict[str, type[BaseModel]] = {"campaign": CampaignPolicy, "org": OrgPolicy, "repository": RepositoryPolicy}


@click.command(
    epilog="""\b
Examples:
  whimbrel schema campaign
  whimbrel schema --write policies/schemas

An editor with the YAML language server reads the first line of a policy:
  # yaml-language-server: $schema=../schemas/campaign.json"""
)
@click.argument("kind", type=click.Choice(sorted(MODELS)), required=False)
@click.option("--write", "folder", type=click.Path(path_type=Path, file_okay=False), help="Write all of them into this folder.")
def schema(kind: str | None, folder: Path | None) -> None:
    """JSON Schema of a KIND of policy file: completion and mistakes, as you type."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in MODELS:
            (folder / f"{name}.json").write_text(json_schema(name), encoding="utf-8")
        click.echo(f"{len(MODELS)} schemas written to {folder}")
    elif kind is not None:
        click.echo(json_schema(kind), nl=False)
    else:
        raise click.UsageError("name a kind of policy, or a folder with --write")


def json_schema(kind: str) -> str:
    """The schema as JSON text; descriptions are the docstrings of the models and their fields."""
    return json.dumps(MODELS[kind].model_json_schema(mode="validation"), indent=2, ensure_ascii=False) + "\n"
