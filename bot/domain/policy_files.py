"""Policy files: from their text to the models of `bot.domain.policies`, with every mistake at its line."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from jinja2 import Environment, TemplateSyntaxError, meta
from pydantic import BaseModel, ValidationError

from bot.domain.guidance import check_skills, check_subagents, read_schema
from bot.domain.money import dollars, micro_usd
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy, RepositoryPolicy
from bot.domain.policy_mistakes import mistakes
from bot.domain.steps import ClaudeStep
from bot.domain.yaml_lines import read_yaml
from bot.errors import PolicyError

Model = TypeVar("Model", bound=BaseModel)


def parse_org(text: str, source: str) -> OrgPolicy:
    """Raises PolicyError with every mistake at its `source:line`."""
    return _parse(OrgPolicy, text, source)


def parse_campaign(text: str, source: str) -> CampaignPolicy:
    """Raises PolicyError with every mistake at its `source:line`."""
    return _parse(CampaignPolicy, text, source)


def parse_repository(text: str, source: str) -> RepositoryPolicy:
    """Raises PolicyError with every mistake at its `source:line`. An empty file is a policy that says nothing."""
    return _parse(RepositoryPolicy, text, source)


def check_ceilings(org: OrgPolicy, campaign: CampaignPolicy) -> None:
    """Raises PolicyError where the campaign may not run on the org, or would pass its ceilings."""
    if campaign.name not in org.campaigns:
        near = nearest(campaign.name, org.campaigns)
        raise PolicyError(
            f"`campaigns` does not list {campaign.name}",
            place=f"orgs/{org.org}.yaml",
            mend=f"add it there{f', or did you mean {near}?' if near else ''}",
        )
    asked, ceiling = campaign.budget.usd_per_attempt, org.ceilings.usd_per_attempt
    if asked > ceiling:
        wanted, allowed = dollars(micro_usd(asked)), dollars(micro_usd(ceiling))
        raise PolicyError(
            f"`budget.usd_per_attempt` is {wanted}, above the ceiling of {allowed} that {org.org} sets",
            place=f"campaigns/{campaign.name}.yaml",
            mend=f"lower it to {ceiling}, or raise `ceilings.usd_per_attempt` in orgs/{org.org}.yaml",
        )
    if laxer := campaign.guards.laxer_than("block", org.ceilings.guards):
        raise PolicyError(
            f"`guards` has {laxer[0]} at {campaign.guards.mode(laxer[0])}, and {org.org} has it block everywhere",
            place=f"campaigns/{campaign.name}.yaml",
            mend=f"leave it out there, or take it out of `ceilings.guards` in orgs/{org.org}.yaml",
        )


def check_labels(org: OrgPolicy, listed: Sequence[CampaignPolicy], place_of: Callable[[str], str]) -> None:
    """Raises PolicyError where a label would start two of the policies that may run on the org."""
    labels = [policy.on.label for policy in listed]
    for policy in listed:
        if policy.on.label is not None and labels.count(policy.on.label) > 1:
            raise PolicyError(
                f"`on.label` is {policy.on.label}, which starts another policy of {org.org} too", place=place_of(policy.name)
            )


def revision(policy: CampaignPolicy, templates: Mapping[str, bytes]) -> str:
    """Twelve hexadecimal digits that change when the policy, or a template that it reaches, does. What triggers it, and its
    pace, do not count: they make no other change.

    `templates` holds the templates by path; those that the policy does not reach do not count. Raises PolicyError for one
    that is missing or cannot be parsed, and for skills, subagents and schemas that cannot be used.
    """
    digest = hashlib.sha256(policy.model_dump_json(exclude={"on", "rollout"}).encode())
    reached = {**_given(policy, templates), **_reached(policy, templates)}
    for name, content in sorted(reached.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` was probably meant to be; empty where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")


def _parse(model: type[Model], text: str, source: str) -> Model:
    document = read_yaml(text, source)
    data = {} if document.data is None else document.data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _one_error(mistakes(model, error.errors(), document.line_of), source) from error


def _one_error(found: Sequence[tuple[int, str]], source: str) -> PolicyError:
    """All mistakes as one error, a line each; its place is that of the first."""
    (line, first), *more = found
    message = "\n".join([first, *(f"{source}:{line}: {sentence}" for line, sentence in more)])
    return PolicyError(message, place=f"{source}:{line}")


def _given(policy: CampaignPolicy, templates: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the Claude steps are given as it is, checked."""
    given: dict[str, bytes] = {}
    for step in policy.claude_steps:
        for path, check in _checks(step).items():
            found = {name: content for name, content in templates.items() if name == path or name.startswith(f"{path}/")}
            if not found:
                raise _missing(path, policy, templates)
            try:
                check({name.removeprefix(path).removeprefix("/"): content.decode() for name, content in found.items()})
            except ValueError as error:
                raise PolicyError(str(error), place=path) from error
            given |= found
    return given


def _checks(step: ClaudeStep) -> dict[str, Callable[[Mapping[str, str]], object]]:
    """By path below templates/: what looks at the files there, given by their path below that one."""
    schema = step.output_schema if isinstance(step.output_schema, str) else None
    wanted: dict[str | None, Callable[[Mapping[str, str]], object]] = {
        step.config: _one_file,
        step.skills: check_skills,
        step.subagents: check_subagents,
        schema: lambda files: read_schema(_one_file(files)),
    }
    return {path.rstrip("/"): check for path, check in wanted.items() if path is not None}


def _one_file(files: Mapping[str, str]) -> str:
    if "" not in files:
        raise ValueError("is a folder, and must be a file")
    return files[""]


def _missing(name: str, policy: CampaignPolicy, templates: Mapping[str, bytes]) -> PolicyError:
    near = nearest(name, templates)
    mend = f"did you mean {near}?" if near else "add it to the templates folder"
    return PolicyError(f"there is no template {name}", place=f"campaigns/{policy.name}.yaml", mend=mend)


def _reached(policy: CampaignPolicy, templates: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the policy names, and what that includes. An include whose name is computed may reach every template."""
    reached: dict[str, bytes] = {}
    waiting = list(policy.templates)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name not in templates:
            raise _missing(name, policy, templates)
        reached[name] = templates[name]
        included = _included(name, templates[name])
        if None in included:
            return dict(templates)
        waiting += [found for found in included if found and found in templates]
    return reached


def _included(name: str, content: bytes) -> set[str | None]:
    """The templates that one includes, extends or imports; None among them where a name is computed."""
    try:
        tree = Environment(autoescape=False).parse(content.decode())  # noqa: S701 - it is parsed, never rendered
    except TemplateSyntaxError as error:
        raise PolicyError(str(error.message), place=f"{name}:{error.lineno}") from error
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8", place=name) from error
    return set(meta.find_referenced_templates(tree))
