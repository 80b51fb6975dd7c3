"""Reading policy files: every mistake at its line, with its mend, and never another error than PolicyError."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import check_ceilings, nearest, parse_campaign, parse_org, parse_repository, revision
from bot.domain.steps import ClaudeStep, CommandStep, TemplateStep
from bot.errors import PolicyError

ACME = """\
# policies/orgs/acme.yaml          (the operator's: never taken from a tenant's repository)
org: acme
host: local:./demo/host            # later: github, https://ghe.example.com, gitlab, https://gitlab.example.com
timezone: Europe/Berlin
quota: {usd_per_month: 500.00, alert_at: 0.8, tokens_per_hour: 1000000, requests_per_minute: 60, concurrent_runs: 5}
ceilings: {usd_per_attempt: 10.00, attempts_per_run: 3, open_pull_requests: 50, pull_requests_per_hour: 30}
breaker: {failures: 5, reset_seconds: 60}
may_trigger: {permission: write, users: [], teams: []}
campaigns: [standardize, migrate-to-pyproject]
"""
MIGRATE = """\
# policies/campaigns/migrate-to-pyproject.yaml
name: migrate-to-pyproject
description: Packaging metadata lives in pyproject.toml; setup.py and setup.cfg are gone.
select:
  include: ["*"]
  exclude: ["sandbox-*"]
  topics: {any: [], none: [legacy]}
  languages: []
  archived: false
  forks: false
  max_size_mb: 500
  files: {exist: ["setup.py"], absent: []}
paths: ["**"]                     # what the changeset may touch
steps:
  - run: "python3 tools/normalize.py"                       # a command in the sandbox; the attempt fails unless exit 0
  - template: files/CONTRIBUTING.md.j2
    to: CONTRIBUTING.md
    mode: create            # create | overwrite | block (a marked block inside a file) | merge (three-way, keeps local edits)
  - claude: prompts/migrate-to-pyproject.md.j2              # or prompt: |  inline text
    template: files/pyproject.toml.j2                       # optional, with to: "make sure the file exists and follows it"
    to: pyproject.toml
    files: []                                               # optional: what it should look at
    model: claude-sonnet-4-5
    max_turns: 40
    tools: [Bash, Edit, Read, Write, Glob, Grep]
checks:
  - run: "python3 -m compileall -q ."
pull_request: {title: pull_request/title.md.j2, body: pull_request/body.md.j2, branch: "whimbrel/{{ policy }}", \
labels: [whimbrel], draft: false, reviewers: codeowners}
limits: {timeout_minutes: 20, memory_mb: 4096, cpus: 2, processes: 256, disk_mb: 2048, network: none}
budget: {usd_per_attempt: 2.00, usd_per_campaign: 200.00}
"""
SMALL = "name: tidy\ndescription: Tidy up.\nsteps: [{template: a.j2, to: a}]\n"
PARSERS: list[Callable[[str, str], BaseModel]] = [parse_org, parse_campaign, parse_repository]


def place_of_refusal(parse: Callable[[str, str], BaseModel], text: str) -> str | None:
    """None where the text is a policy. Every other error than PolicyError gets through."""
    try:
        parse(text, "p.yaml")
    except PolicyError as error:
        return error.place
    return None


def problems(parse: Callable[[str, str], BaseModel], text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(text, "p.yaml")
    return str(caught.value).splitlines()


def test_the_org_policy_of_the_documentation() -> None:
    org = parse_org(ACME, "acme.yaml")
    assert org.quota.usd_per_month == Decimal(500)
    assert org.ceilings.attempts_per_run == 3
    assert org.campaigns == ["standardize", "migrate-to-pyproject"]


def test_the_campaign_policy_of_the_documentation() -> None:
    policy = parse_campaign(MIGRATE, "migrate.yaml")
    assert [type(step) for step in policy.steps] == [CommandStep, TemplateStep, ClaudeStep]
    assert policy.budget.attempt == 2_000_000
    assert policy.pull_request.branch == "whimbrel/{{ policy }}"


def test_an_empty_repository_policy_says_nothing() -> None:
    assert parse_repository("# nothing yet\n", ".whimbrel.yaml").enabled


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("descripton: x", "p.yaml:4: `descripton` is unknown: did you mean `description`?"),
        ("on: {notify: '#team'}", "p.yaml:4: `on.notify` is not offered yet"),
        ("on: {push: {}}", "p.yaml:4: `on.push` is unknown (known: label, comment, schedule,"),
        ("fan_out: {over: src}", "p.yaml:4: `fan_out` is not offered yet"),
        ("rollout: {waves: 3}", "p.yaml:4: `rollout.waves` is 3; it must be a list"),
        (
            "rollout: {waves: [0]}",
            "p.yaml:4: `rollout.waves[0]`: 0 is no wave: it is so many targets, such as 3, or a share of them",
        ),
        ("rollout: {waves: [10%, 5%, 100%]}", "p.yaml:4: `rollout.waves`: each wave holds those before it, so it is larger"),
        (
            "rollout: {waves: [3, 10%]}",
            "p.yaml:4: `rollout.waves`: the last wave is 10%, and what is beyond it would never begin: end with 100%",
        ),
        (
            "rollout: {gate: {merged: 50%}}",
            "p.yaml:4: `rollout`: `gate:` stands between waves, and there are none: add `waves:`",
        ),
        ("rollout: {waves: [100%], gate: {merged: 0.5}}", "p.yaml:4: `rollout.gate.merged`: 0.5 is no share: it is 0% to 100%"),
        ("rollout: {waves: [100%], gate: {after: 4}}", "p.yaml:4: `rollout.gate.after` is 4; it must be a text"),
        (
            "rollout: {waves: [100%], gate: {after: 4w}}",
            "p.yaml:4: `rollout.gate.after`: '4w' is no time: it is a number of minutes",
        ),
        ("rollout: {waves: [100%], approval: both}", "p.yaml:4: `rollout.approval` is 'both'; it must be 'auto' or 'manual'"),
        ("rollout: {order: dependencies}", "p.yaml:4: `rollout`: `order: dependencies` and `dependencies:` go together"),
        (
            "rollout: {order: dependencies, dependencies: {a: [b], b: [a]}}",
            "p.yaml:4: `rollout`: `dependencies` go in a circle: ",
        ),
        ("rollout: {max_open: 0}", "p.yaml:4: `rollout.max_open` is 0; it must be at least 1"),
        ("rollout: {windows: [9-17]}", "p.yaml:4: `rollout.windows[0]`: '9-17' is no window: such as `mon-fri 09:00-17:00`"),
        (
            "output: {report: r.md}\nrollout: {max_open: 3}",
            "p.yaml:1: a policy with `output:` opens no pull request: of `rollout:`",
        ),
        ("on: {label: bug}", "p.yaml:4: `on.label`: 'bug' could be anybody's label: begin it with `whimbrel:`"),
        ("on: {label: 'whimbrel:'}", "p.yaml:4: `on.label`: 'whimbrel:' could be anybody's label"),
        ("flavour: sweet", "p.yaml:4: `flavour` is unknown (known: name, description, on, select, paths,"),
        ("select: {fork: true}", "p.yaml:4: `select.fork` is unknown: did you mean `forks`?"),
        ("select: {archived: maybe}", "p.yaml:4: `select.archived` is 'maybe'; it must be true or false"),
        ("paths: '**'", "p.yaml:4: `paths` is '**'; it must be a list"),
        ("paths: ['!']", "p.yaml:4: `paths[0]`: "),
        ("variables: {x: [1]}", "p.yaml:4: `variables.x` is a list; it must be a text or a whole number or true or false"),
        ("limits: {cpus: .inf}", "p.yaml:4: `limits.cpus` is inf; it must be a finite number"),
        ("limits: {memory_mb: 1}", "p.yaml:4: `limits.memory_mb` is 1; it must be at least 64"),
        ("limits: {network: full}", "p.yaml:4: `limits.network` is 'full'; it must be 'none'"),
        ("budget: {usd_per_attempt: -1}", "p.yaml:4: `budget.usd_per_attempt` is -1; it must be at least 0"),
        ("pull_request: {reviewers: ann}", "p.yaml:4: `pull_request.reviewers` is 'ann'; it must be 'codeowners' or a list"),
        ("checks: [{run: ''}]", "p.yaml:4: `checks[0].run` is ''; it must be a text of at least 1 character"),
        ("checks: [{runs: x}]", "p.yaml:4: `checks[0].runs` is unknown: did you mean `run`?"),
        ("checks:", "p.yaml:4: `checks` is empty; it must be a list"),
        ("name: other", "p.yaml:4: `name` is there twice, first on line 1"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_its_mend(line: str, problem: str) -> None:
    assert any(said.startswith(problem) for said in problems(parse_campaign, f"{SMALL}{line}\n"))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{run: x, timeout: 3}", "`steps[0].timeout` is unknown in a command step (known: run)"),
        ("{template: a, to: b, mode: blok}", "`steps[0].mode` is 'blok'; it must be 'create', 'overwrite', 'block' or 'merge'"),
        ("{template: a}", "`steps[0].to` is missing"),
        ("{claude: a, tols: []}", "`steps[0].tols` is unknown in a Claude step: did you mean `tools`?"),
        ("{claude: a, prompt: b}", "`steps[0]`: a Claude step has either `claude:`"),
        ("{claude: a, template: b}", "`steps[0]`: `template:` and `to:` of a Claude step go together"),
        ("{prompt: a, output_schema: ../x}", "`steps[0].output_schema`: '../x' is no path below the root"),
        ("{prompt: a, output_schema: 7}", "`steps[0].output_schema` is 7; it must be a text or a mapping (`key: value`)"),
        ("{prompt: a, output_schema: {type: array}}", "`steps[0].output_schema`: it must describe an object"),
        ("{prompt: a, output_schema: a.json, name: A-b}", "`steps[0].name`: 'A-b' is no name of a result"),
        ("{prompt: a, name: b}", "`steps[0]`: `name:` of a Claude step names the result that its `output_schema:` asks for"),
        ("{prompt: a, skills: /x}", "`steps[0].skills`: '/x' is no path below the root"),
        ("{prompt: a, timeout_minutes: 0}", "`steps[0].timeout_minutes` is 0; it must be more than 0"),
        ("{prompt: a, max_usd: -1}", "`steps[0].max_usd` is -1; it must be at least 0"),
        ("{rnu: x}", "`steps[0].rnu` is unknown: did you mean `run`?"),
        ("{fan_out: x}", "`steps[0].fan_out` is not offered yet"),
        ("{}", "`steps[0]` is no step: a step has `run:`"),
        ("7", "`steps[0]` is 7; a step has `run:`"),
    ],
)
def test_a_step_is_judged_as_the_kind_that_it_is(step: str, expected: str) -> None:
    (said,) = problems(parse_campaign, f"name: tidy\ndescription: x\nsteps:\n  - {step}\n")
    assert said.startswith(f"p.yaml:4: {expected}")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "name: Bad Name\nsteps:\n  - run: [x]\n  - template: ../a\n    to: /b\n"
    assert problems(parse_campaign, text) == [
        "p.yaml:1: `name`: 'Bad Name' is no name: up to 63 of a-z, 0-9 and `-`, and the first is no `-`",
        "p.yaml:1: `description` is missing",
        "p.yaml:3: `steps[0].run` is a list; it must be a text",
        "p.yaml:4: `steps[1].template`: '../a' is no path below the root: no leading `/`, no `..`",
        "p.yaml:5: `steps[1].to`: '/b' is no path below the root: no leading `/`, no `..`",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("host: gitea", "`host`: 'gitea' is no host: it is `local:FOLDER`, `github`, `gitlab`, `github:https://SERVER`"),
        ("host: gitlab:gitlab.example.com", "`host`: 'gitlab.example.com' is no server's URL"),
        ("host: github:http://ghe.example.com", "`host`: 'http://ghe.example.com' is no server's URL: it is https://NAME"),
        ("host: github:https://me:secret@ghe.example.com", "is no server's URL"),
        ("host: 'local:'", "`host`: 'local:' is no host"),
        ("org: ../acme", "`org`: '../acme' is no org"),
        ("org: acme/platform", "'acme/platform' is no org: only GitLab has groups in groups"),
        ("timezone: Mars/Olympus", "`timezone`: 'Mars/Olympus' is no time zone"),
        ("campaigns: [a, a]", "`campaigns`: 'a' is there twice"),
        ("quota: {usd_per_month: .nan}", "`quota.usd_per_month` is nan; it must be a finite number"),
        ("notify: []", "`notify` is not offered yet"),
        ("may_trigger: {teams: [platform]}", "a folder of repositories has no teams"),
        ("forks: ACME", "`forks: ACME` is the org itself"),
        ("forks: '../x'", "`forks`"),
    ],
)
def test_mistakes_of_an_org_policy(line: str, problem: str) -> None:
    key = line.partition(":")[0]
    text = "".join(f"{kept}\n" for kept in ACME.splitlines() if not kept.startswith(f"{key}:"))
    assert any(problem in said for said in problems(parse_org, text + line))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: [\n", "p.yaml:3: is no YAML: while parsing a flow node"),
        ("- 1\n", "p.yaml:1: a policy is a mapping (`key: value`), not a list"),
        ("enabled: !!python/name:os.system x", "p.yaml:1: `tag:yaml.org,2002:python/name:os.system` is not used"),
        ("enabled: !!float ''", "p.yaml:1: '' is not what its tag says"),
        ("? [a]\n: b\n", "p.yaml:1: a key is a short text without control characters"),
        ('"a\\nb": c\n', "p.yaml:1: a key is a short text without control characters"),
        ("--- {}\n--- {}\n", "p.yaml:2: is no YAML: expected a single document"),
        ("a: &a [*a]", "p.yaml:1: has too many values, or is nested too deeply"),
        ("[" * 5000, "p.yaml: is nested too deeply"),
        (f"enabled: {'9' * 10_000}", "p.yaml:1: '999"),
        ("#" * 300_000, "p.yaml: is larger than 256 KB"),
        ("enabled: 2024-99-99", "p.yaml:1: `enabled` is '2024-99-99'; it must be true or false"),
        ("budget: {usd_per_attempt: 1e999}", "p.yaml:1: `budget.usd_per_attempt` is inf"),
    ],
)
def test_a_stranger_s_yaml_is_refused_with_a_place(text: str, problem: str) -> None:
    assert problems(parse_repository, text)[0].startswith(problem)


def test_a_few_lines_of_aliases_do_not_become_a_million_values() -> None:
    levels = [f"k{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 9)]
    bomb = "\n".join(["k0: &l0 [1]", *levels])
    assert problems(parse_repository, bomb) == ["p.yaml:1: has too many values, or is nested too deeply"]


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text() | st.text(alphabet="ab:-[]{},!&*?|>#%@\"' \n\t0.~", max_size=80))
def test_any_text_is_a_policy_or_a_policy_error(parse: Callable[[str, str], BaseModel], text: str) -> None:
    assert re.fullmatch(r"None|p\.yaml(:\d+)?", str(place_of_refusal(parse, text)))


KEYS = st.sampled_from([*CampaignPolicy.model_fields, "on", "run", "claude", "template", "to", "files", "exist", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", "", "../a", "none"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@pytest.mark.parametrize("parse", PARSERS)
@given(data=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_shape_is_a_policy_or_a_policy_error(parse: Callable[[str, str], BaseModel], data: dict[str, object]) -> None:
    text = repr(data).replace("None", "null").replace("True", "true").replace("False", "false")
    assert place_of_refusal(parse, text) in {None, "p.yaml:1"}


def test_a_campaign_within_the_ceilings_may_run() -> None:
    check_ceilings(parse_org(ACME, "o"), parse_campaign(MIGRATE, "c"))


def test_a_budget_above_the_ceiling_is_refused_with_both_figures() -> None:
    wide = parse_campaign(MIGRATE.replace("usd_per_attempt: 2.00", "usd_per_attempt: 10.01"), "c")
    with pytest.raises(PolicyError, match=r"\$10\.01, above the ceiling of \$10\.00 that acme sets") as caught:
        check_ceilings(parse_org(ACME, "o"), wide)
    assert caught.value.place == "campaigns/migrate-to-pyproject.yaml"
    assert "orgs/acme.yaml" in caught.value.mend


def test_a_campaign_that_the_org_does_not_list_is_refused() -> None:
    other = parse_campaign(SMALL.replace("tidy", "standardise"), "c")
    with pytest.raises(PolicyError, match="does not list standardise") as caught:
        check_ceilings(parse_org(ACME, "o"), other)
    assert "did you mean standardize?" in caught.value.mend


PULL_REQUEST = {f"pull_request/{name}.md.j2": b"x" for name in ("title", "body", "commit")}


def templates(**contents: bytes) -> dict[str, bytes]:
    return {**PULL_REQUEST, **{f"{name}.j2": content for name, content in contents.items()}}


def test_the_revision_changes_with_what_the_policy_reaches_and_with_nothing_else() -> None:
    policy = parse_campaign(SMALL, "c")
    before = revision(policy, templates(a=b"{% include 'b.j2' %}", b=b"1", other=b"1"))
    assert len(before) == 12
    assert revision(policy, templates(a=b"{% include 'b.j2' %}", b=b"1", other=b"2")) == before
    assert revision(policy, templates(a=b"{% include 'b.j2' %}", b=b"2", other=b"1")) != before
    assert revision(policy, templates(a=b"{% include 'b.j2' %} ", b=b"1", other=b"1")) != before
    renamed = parse_campaign(SMALL.replace("Tidy up", "Tidy"), "c")
    assert revision(renamed, templates(a=b"{% include 'b.j2' %}", b=b"1", other=b"1")) != before


def test_on_is_a_key_and_no_boolean() -> None:
    said = parse_campaign(f"{SMALL}on: {{label: 'whimbrel:tidy', comment: true}}\n", "p.yaml").on
    assert (said.label, said.comment) == ("whimbrel:tidy", True)
    silent = parse_campaign(SMALL, "p.yaml").on
    assert (silent.label, silent.comment) == (None, False)


def test_what_starts_a_policy_is_no_part_of_its_revision() -> None:
    spoken = parse_campaign(f"{SMALL}on: {{comment: true}}\n", "p.yaml")
    assert revision(spoken, templates(a=b"1")) == revision(parse_campaign(SMALL, "p.yaml"), templates(a=b"1"))


def test_an_include_with_a_computed_name_may_reach_every_template() -> None:
    policy = parse_campaign(SMALL, "c")
    computed = b"{% include vars.name %}"
    assert revision(policy, templates(a=computed, other=b"1")) != revision(policy, templates(a=computed, other=b"2"))


@pytest.mark.parametrize(
    ("given_templates", "problem"),
    [
        (templates(b=b""), r"campaigns/tidy\.yaml: there is no template a\.j2"),
        (templates(a=b"\n{% if %}"), r"a\.j2:2: Expected an expression"),
        (templates(a=b"\xff"), r"a\.j2: is not UTF-8"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(given_templates: dict[str, bytes], problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        revision(parse_campaign(SMALL, "c"), given_templates)


def test_two_results_do_not_share_a_name() -> None:
    step = "{prompt: a, output_schema: a.json, name: b}"
    (said,) = problems(parse_campaign, f"name: tidy\ndescription: x\nsteps: [{step}, {step}]\n")
    assert said == "p.yaml:1: two Claude steps have the name b"


GUIDED = """\
name: tidy
description: Tidy up.
steps: [{prompt: x, config: CLAUDE.md, skills: skills/, subagents: agents, output_schema: a.json}]
"""
GUIDANCE = {
    **PULL_REQUEST,
    "CLAUDE.md": b"Use ${{ it }}.",
    "skills/packaging/SKILL.md": b"{% no template",
    "agents/reviewer.md": b"---\nname: reviewer\ndescription: Reviews.\n---\n",
    "a.json": b'{"type": "object"}',
}


@pytest.mark.parametrize("name", [name for name in GUIDANCE if name not in PULL_REQUEST])
def test_the_revision_changes_with_what_a_session_is_given(name: str) -> None:
    policy = parse_campaign(GUIDED, "c")
    changed = {**GUIDANCE, name: GUIDANCE[name] + b"\n", "skillset/other/SKILL.md": b"none of it"}
    assert revision(policy, changed) != revision(policy, GUIDANCE)
    assert revision(policy, {**changed, name: GUIDANCE[name]}) == revision(policy, GUIDANCE)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("CLAUDE.md", None, r"campaigns/tidy\.yaml: there is no template CLAUDE\.md"),
        ("CLAUDE.md/x", b"", r"CLAUDE\.md: is a folder, and must be a file"),
        ("skills/packaging/SKILL.md", None, r"campaigns/tidy\.yaml: there is no template skills"),
        ("skills/packaging/OTHER.md", b"", "skills: there is no skill in it"),
        ("agents/reviewer.md", b"Review.", r"agents: reviewer\.md is no subagent"),
        ("a.json", b"{", r"a\.json: line 1 is no JSON"),
        ("a.json", b'{"type": "array"}', r"a\.json: it must describe an object"),
        ("a.json", b"\xff", r"a\.json: .*utf-8"),
    ],
)
def test_guidance_that_cannot_be_used_is_refused(name: str, content: bytes | None, problem: str) -> None:
    around = name.rpartition("/")[0] or name
    given = {path: text for path, text in GUIDANCE.items() if not path.startswith(around)}
    if content is not None:
        given[name] = content
    with pytest.raises(PolicyError, match=problem):
        revision(parse_campaign(GUIDED, "c"), given)


def test_nearest() -> None:
    assert nearest("standardise", ["migrate", "standardize"]) == "standardize"
    assert not nearest("zzz", ["migrate", "standardize"])
