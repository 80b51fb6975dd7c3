"""The policies and templates that come with Whimbrel do what they say, and their documentation is true."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bot.domain.blocks import with_block
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import check_ceilings, parse_campaign, parse_org, parse_repository, revision
from bot.domain.steps import TemplateStep
from bot.domain.yaml_lines import read_yaml
from bot.policy_store import Policies, load_policies, load_templates
from bot.rendering import FILTERS, Renderer

ROOT = Path(__file__).parents[2]
RENDERER = Renderer([ROOT / "templates"])


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(ROOT / "policies")


def variables(policy: CampaignPolicy, *, languages: tuple[str, ...] = ("python",), **changes: Any) -> dict[str, Any]:
    repo = {
        "name": "shop",
        "full_name": "acme/shop",
        "default_branch": "trunk",
        "description": 'Sells "things" to @everybody.',
        "visibility": "internal",
        "topics": [],
        "languages": list(languages),
        "url": "https://example.org/acme/shop",
    }
    return {
        "org": "acme",
        "repo": repo,
        "policy": policy.name,
        "description": policy.description,
        "revision": "0123456789ab",
        "campaign": "c1",
        "path": "",
        "base": {"branch": "trunk", "head": "a" * 40},
        "vars": policy.variables,
        **changes,
    }


def published(policy: CampaignPolicy, **changes: Any) -> dict[str, Any]:
    check = {"command": "a | b", "decision": "pass", "reason": "exit 0 in 1.0 s", "base": "passed"}
    guards = {"looked": 12, "told": [{"name": "size", "decision": "pass", "reason": "a.py: long"}]}
    told = {"guards": guards, "judge": {"decision": "pass", "reason": "@fine"}, "comments": True, "prefix": "chore: "}
    besides = {"files": ["a.py"], "checks": [check], "cost": "$0.12", "tokens": 48210, "model": "m-1", "branch": "whimbrel/x"}
    return variables(policy) | besides | told | changes


def test_each_campaign_may_run_on_the_org_and_has_its_templates(policies: Policies) -> None:
    templates = {name: text.encode() for name, text in load_templates([ROOT / "templates"]).items()}
    assert policies.campaigns
    for policy in policies.campaigns.values():
        check_ceilings(policies.orgs["acme"], policy)
        assert revision(policy, templates)


def test_every_step_s_template_renders_with_nothing_but_the_documented_variables(policies: Policies) -> None:
    for policy in policies.campaigns.values():
        for template in policy.templates:
            assert RENDERER.render(template, published(policy)).strip()


@pytest.mark.parametrize(
    ("languages", "jobs"),
    [
        (("python",), ["python"]),
        (("javascript",), ["node"]),
        (("typescript", "python"), ["python", "node"]),
        (("markdown",), ["conflicts"]),
        ((), ["conflicts"]),
    ],
)
def test_the_workflow_tests_what_the_repository_is_written_in(
    policies: Policies, languages: tuple[str, ...], jobs: list[str]
) -> None:
    text = RENDERER.render("files/ci.yml.j2", variables(policies.campaigns["standardize"], languages=languages))
    workflow = read_yaml(text, "ci.yml").data
    assert list(workflow["jobs"]) == jobs
    assert workflow["on"]["push"]["branches"] == ["trunk"]
    assert workflow["permissions"] == {"contents": "read"}


def test_the_standard_pull_request_touches_only_what_the_policy_allows(policies: Policies) -> None:
    policy = policies.campaigns["standardize"]
    assert {f"/{step.to}" for step in policy.steps if isinstance(step, TemplateStep)} == set(policy.paths)


def test_the_readme_is_begun_and_its_block_follows(policies: Policies) -> None:
    seen = variables(policies.campaigns["standardize"])
    begun = RENDERER.render("files/README.md.j2", seen)
    assert begun == '# shop\n\nSells "things" to @everybody.\n'
    whole = with_block("README.md", begun, "standardize", RENDERER.render("files/README-block.md.j2", seen))
    assert whole.startswith(f"{begun}\n<!-- whimbrel:standardize begin -->\n## ")


def test_the_pyproject_template_is_valid(policies: Policies) -> None:
    text = RENDERER.render("files/pyproject.toml.j2", variables(policies.campaigns["migrate-to-pyproject"]))
    assert tomllib.loads(text)["project"]["name"] == "shop"


@pytest.mark.parametrize(
    ("files", "failing"),
    [
        ({"pyproject.toml": '[project]\nname = "a"\n', "a.py": "x = 1\n"}, []),
        ({"pyproject.toml": '[project]\nname = "a"\n', "a.py": "x = \n"}, [0]),
        ({"pyproject.toml": "[project\n"}, [1]),
        ({"pyproject.toml": "[tool.x]\n"}, [1]),
        ({"pyproject.toml": '[project]\nname = "a"\n', "setup.py": ""}, [2]),
        ({"pyproject.toml": '[project]\nname = "a"\n', "setup.cfg": ""}, [2]),
        (
            {
                "pyproject.toml": '[project]\nname = "a"\n',
                "tests/__init__.py": "",
                "tests/test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.fail()\n",
            },
            [3],
        ),
    ],
)
def test_the_checks_of_the_migration(policies: Policies, tmp_path: Path, files: dict[str, str], failing: list[int]) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    checks = policies.campaigns["migrate-to-pyproject"].checks
    ends = [subprocess.run(check.argv, cwd=tmp_path, capture_output=True, check=False).returncode for check in checks]
    assert [index for index, end in enumerate(ends) if end] == failing


def test_the_pull_request_says_what_why_and_how_to_opt_out(policies: Policies) -> None:
    policy = policies.campaigns["migrate-to-pyproject"]
    body = RENDERER.render(policy.pull_request.body, published(policy))
    for said in (
        policy.description,
        "- `a.py`",
        "| `a \\| b` | passed | pass |",
        "| size | a.py: long |",
        "`/whimbrel help`",
        "$0.12 for 48,210 tokens of m-1",
        "`0123456789ab`",
    ):
        assert said in body
    opting_out = re.findall(r"```yaml\n(.*?)```", body, re.DOTALL)
    assert parse_repository(opting_out[0], "x").campaigns == {policy.name: False}


def test_the_pull_request_holds_nothing_that_a_repository_could_make_act(policies: Policies) -> None:
    policy = policies.campaigns["standardize"]
    hostile = "x`@everybody closes #1 <!-- whimbrel:1 --> | /merge\n/merge"
    check = {"command": "true", "decision": "fail", "reason": hostile, "base": hostile}
    told = {"looked": 1, "told": [{"name": hostile, "reason": hostile}]}
    seen = published(policy, files=[hostile], checks=[check], guards=told, judge={"decision": "pass", "reason": hostile})
    body = RENDERER.render(policy.pull_request.body, {**seen, "repo": {**seen["repo"], "full_name": hostile}})
    assert not re.search(r"@everybody|closes #|<!--|^/merge", body, re.MULTILINE)


def test_a_long_list_of_files_is_cut(policies: Policies) -> None:
    policy = policies.campaigns["standardize"]
    body = RENDERER.render(policy.pull_request.body, published(policy, files=[f"f{n}" for n in range(53)], model="none"))
    assert "- and 3 more" in body
    assert "`f50`" not in body
    assert "No model was asked." in body


def test_the_commit_message_ends_with_its_trailers(policies: Policies) -> None:
    policy = policies.campaigns["migrate-to-pyproject"]
    seen = variables(policy, prefix="chore: ")
    subject, empty, *body, trailer, revised, last = RENDERER.render("pull_request/commit.md.j2", seen).splitlines()
    assert subject.startswith("chore: ")
    assert revised == "Whimbrel-Revision: 0123456789ab"
    assert len(subject) <= 72
    assert empty == ""
    assert body[-1] == ""
    assert (trailer, last) == ("Whimbrel-Policy: migrate-to-pyproject", "Whimbrel-Campaign: c1")


def test_the_examples_of_the_documentation_are_policies() -> None:
    text = (ROOT / "policies/README.md").read_text()
    org, campaign, reporting, repository = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    parsed = parse_campaign(campaign, "README.md")
    check_ceilings(parse_org(org, "README.md"), parsed)
    assert parse_campaign(reporting, "README.md").output is not None
    assert {"output", *read_yaml(campaign, "x").data} == set(CampaignPolicy.model_fields)
    assert not parse_repository(repository, "README.md").enabled


def test_every_variable_and_filter_is_documented(policies: Policies) -> None:
    text = (ROOT / "templates/README.md").read_text()
    seen = published(policies.campaigns["standardize"])
    nested = [f"{name}.{key}" for name in ("repo", "base") for key in seen.pop(name)]
    for name in [*seen, *nested, *FILTERS]:
        assert f"`{name}`" in text
