"""The models themselves: what they refuse, and that a repository can only tighten."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.policies import COMMIT_TEMPLATE, CampaignPolicy, RepositoryPolicy
from bot.domain.policy_types import path_rules
from bot.domain.steps import ClaudeStep, CommandStep, TemplateStep

CAMPAIGN = {"name": "tidy", "description": "Tidy up.", "steps": [{"run": "true"}]}
PATHS = st.lists(st.sampled_from(["src", "a", "secrets", ".github", "x.py", "key"]), min_size=1, max_size=4).map("/".join)
PATTERNS = st.sampled_from(["**", "*", "*.py", "src/", "/src/", "secrets", "secrets/", "!secrets/", "!a", "/a/**", "a/x.py"])


def campaign(**changes: object) -> CampaignPolicy:
    return CampaignPolicy.model_validate({**CAMPAIGN, **changes})


@pytest.mark.parametrize(
    ("path", "may_be_touched"),
    [("src/a.py", True), ("secrets/key", False), ("deep/secrets/key", False), ("secrets.md", True), ("docs/x", True)],
)
def test_a_folder_that_is_shut_out_shuts_out_what_is_in_it(path: str, may_be_touched: bool) -> None:
    assert path_rules(["**", "!secrets/"]).match_file(path) is may_be_touched


def test_the_last_pattern_that_matches_decides() -> None:
    assert path_rules(["*", "!src/", "src/gen/"]).match_file("src/gen/a.py")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"output": {"format": "md"}}, "a report in md is a file: `report:` says where"),
        ({"output": {"format": "json"}}, "is the result of a Claude step with a `name:`, and there is none"),
        ({"output": {"report": "/tmp/x"}}, "is no path below the root"),
        ({"output": {"report": "x"}, "pull_request": {"draft": True}}, "opens no pull request"),
    ],
)
def test_a_report_has_one_source_and_no_pull_request(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        campaign(**wrong)


def test_a_policy_that_makes_reports_survives_being_stored_and_needs_no_text_of_a_pull_request() -> None:
    step = {"prompt": "x", "output_schema": {"type": "object"}, "name": "found"}
    policy = campaign(steps=[step], output={"format": "json"})
    assert CampaignPolicy.model_validate_json(policy.model_dump_json()) == policy
    assert policy.templates == (COMMIT_TEMPLATE,)
    assert policy.results == ("found",)


@given(
    paths=st.lists(PATTERNS, min_size=1),
    excluded=st.lists(PATTERNS.filter(lambda pattern: not pattern.startswith("!"))),
    path=PATHS,
    cap=st.decimals(0, 1000, places=2),
    own_cap=st.none() | st.decimals(0, 1000, places=2),
    minutes=st.integers(1, 720),
    own_minutes=st.none() | st.integers(1, 720),
)
def test_a_repository_never_widens(
    paths: list[str],
    excluded: list[str],
    path: str,
    cap: Decimal,
    own_cap: Decimal | None,
    minutes: int,
    own_minutes: int | None,
) -> None:
    policy = campaign(paths=paths, budget={"usd_per_attempt": cap}, limits={"timeout_minutes": minutes})
    own = RepositoryPolicy.model_validate(
        {"exclude_paths": excluded, "budget": {"usd_per_attempt": own_cap}, "limits": {"timeout_minutes": own_minutes}}
    )
    tightened = own.tighten(policy)
    assert tightened.budget.attempt <= policy.budget.attempt
    assert tightened.limits.timeout_minutes <= policy.limits.timeout_minutes
    if path_rules(tightened.paths).match_file(path):
        assert path_rules(policy.paths).match_file(path)
        assert not path_rules(excluded).match_file(path)


def test_a_repository_tightens() -> None:
    own = RepositoryPolicy.model_validate({"budget": {"usd_per_attempt": "0.5"}, "limits": {"timeout_minutes": 3}})
    tightened = own.tighten(campaign())
    assert (tightened.budget.attempt, tightened.limits.timeout_minutes) == (500_000, 3)


@pytest.mark.parametrize("pattern", ["!src/", "", "  ", "# note", "!"])
def test_a_repository_cannot_take_back_an_exclusion(pattern: str) -> None:
    with pytest.raises(ValidationError):
        RepositoryPolicy.model_validate({"exclude_paths": [pattern]})


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b", "a\0b", ""])
def test_paths_stay_below_the_root(path: str) -> None:
    with pytest.raises(ValidationError):
        TemplateStep(template="x.j2", to=path)


def test_a_policy_survives_the_database() -> None:
    steps = [
        {"run": "true"},
        {"template": "a.j2", "to": "a", "mode": "merge"},
        {"claude": "p.j2", "template": "b.j2", "to": "b"},
        {"prompt": "Do it."},
    ]
    policy = campaign(steps=steps, variables={"n": 3, "s": "3", "b": True}, pull_request={"reviewers": ["ann"]})
    assert CampaignPolicy.model_validate_json(policy.model_dump_json()) == policy
    assert [type(step) for step in policy.steps] == [CommandStep, TemplateStep, ClaudeStep, ClaudeStep]


def test_the_templates_that_a_policy_needs() -> None:
    steps = [{"run": "x"}, {"template": "files/a", "to": "a"}, {"claude": "prompts/p", "template": "files/b", "to": "b"}]
    policy = campaign(steps=steps, pull_request={"title": "t", "body": "b"})
    assert policy.templates == ("b", "files/a", "files/b", "prompts/p", "pull_request/commit.md.j2", "t")


def test_a_file_holds_one_block_of_a_policy() -> None:
    block = {"template": "a.j2", "to": "README.md", "mode": "block"}
    with pytest.raises(ValidationError, match=r"write to README\.md"):
        campaign(steps=[block, {**block, "template": "b.j2"}])


@pytest.mark.parametrize(
    ("steps", "model", "sandbox"),
    [
        ([{"template": "a.j2", "to": "a"}], False, False),
        ([{"run": "true"}], False, True),
        ([{"prompt": "x"}], True, True),
    ],
)
def test_what_a_policy_uses(steps: list[dict[str, str]], model: bool, sandbox: bool) -> None:
    policy = campaign(steps=steps)
    assert (policy.uses_model, policy.uses_sandbox) == (model, sandbox)
