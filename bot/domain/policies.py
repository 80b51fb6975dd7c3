"""The policies as pydantic models: for an org (the operator), a campaign (a platform team), a repository (its maintainer).

Unknown keys are refused. Reading a file, and saying where in it something is wrong, is `bot.domain.policy_files`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pathspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from bot.domain.guidance import check_schema
from bot.domain.money import MicroUsd, micro_usd

T = TypeVar("T")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

LABEL_PREFIX = "whimbrel:"
"""How each label begins that starts a policy."""

COMMIT_TEMPLATE = "pull_request/commit.md.j2"
"""What renders the message of every commit."""


def path_rules(patterns: Sequence[str]) -> pathspec.PathSpec[Any]:
    """Patterns written as in .gitignore; the last one that matches a path, or a folder that it is in, decides.

    Not git's own rule (pathspec's GitIgnoreSpec): there, a pattern that shuts out a folder lets through the files in it
    which an earlier pattern had named, and `["**", "!secrets/"]` would admit secrets/key. Raises ValueError.
    """
    return pathspec.PathSpec.from_lines("gitignore", patterns)


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError(f"{value!r} is no name: up to 63 of a-z, 0-9 and `-`, and the first is no `-`")
    return value


def _result_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", value):
        raise ValueError(f"{value!r} is no name of a result: up to 63 of a-z, 0-9 and `_`, and the first is a letter")
    return value


def _relative_path(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise ValueError(f"{value!r} is no path below the root: no leading `/`, no `..`")
    return value


def _schema_or_path(value: str | dict[str, Any]) -> str | dict[str, Any]:
    return _relative_path(value) if isinstance(value, str) else check_schema(value)


def _pattern(value: str) -> str:
    if not value.strip() or value.startswith("#"):
        raise ValueError(f"{value!r} matches nothing; patterns are written as in .gitignore")
    path_rules([value])
    return value


def _unnegated(value: str) -> str:
    if value.startswith("!"):
        raise ValueError(f"{value!r} would take back what others exclude; a repository can only exclude")
    return value


def _trigger_label(value: str) -> str:
    if not value.removeprefix(LABEL_PREFIX) or not value.startswith(LABEL_PREFIX):
        raise ValueError(f"{value!r} could be anybody's label: begin it with `{LABEL_PREFIX}`, such as {LABEL_PREFIX}NAME")
    return value


def _no_teams(values: list[str]) -> list[str]:
    if values:
        raise ValueError("teams are not asked of a host yet: give the team the permission, or name its people in `users`")
    return values


def _unique(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} is there twice")
    return values


Name = Annotated[str, AfterValidator(_name)]
ResultName = Annotated[str, AfterValidator(_result_name)]
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)]
RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_relative_path)]
Pattern = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_pattern)]
Text = Annotated[str, StringConstraints(min_length=1)]
OutputSchema = Annotated[Text | dict[str, Any], AfterValidator(_schema_or_path)]
Minutes = Annotated[float, Field(gt=0, le=720)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


# --- the operator's: policies/orgs/NAME.yaml ---


class Quota(Strict):
    usd_per_month: Usd
    """What the org may spend in a calendar month of its time zone."""
    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of an allowance (month, campaign, attempt) from which `quota`, the audit trail and the timeline warn."""
    tokens_per_hour: Annotated[int, Field(ge=1)] | None = None
    """How many tokens (input, cache and output together) may pass the gateway in an hour; more wait."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """How many requests may go to the model in a minute; more wait."""
    concurrent_runs: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many runs of the org may be dispatched or running at once."""

    @property
    def month(self) -> MicroUsd:
        """The month's allowance in micro-USD."""
        return micro_usd(self.usd_per_month)


class Ceilings(Strict):
    """What no campaign policy may exceed."""

    usd_per_attempt: Usd = Decimal("10")
    attempts_per_run: Annotated[int, Field(ge=1, le=20)] = 3
    """How many sessions a run may have whose agent ends without a result. What passes by itself (the host or the API out of
    reach, a lost worker) costs none of them; what would only happen again (a failing command, a limit) is not tried again."""
    open_pull_requests: Annotated[int, Field(ge=1)] = 50
    pull_requests_per_hour: Annotated[int, Field(ge=1)] = 30


class BreakerPolicy(Strict):
    """When requests to the model pause for all workers of the org: what counts is a 429, a 5xx, a broken connection."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """So many in a row open the circuit."""
    reset_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    """After so long, a single request tries whether the API is back."""


class MayTrigger(Strict):
    """Who may start a campaign: everybody whose permission on the org is at least this, and those named."""

    permission: Literal["read", "write", "admin"] = "write"
    users: list[str] = []
    teams: Annotated[list[str], AfterValidator(_no_teams)] = []


def server_url(value: str) -> str:
    """Tokens go there: nothing but https will do, except to this very machine."""
    url = urlsplit(value)
    plain = url.path in ("", "/") and not (url.query or url.fragment or url.username or url.password)
    encrypted = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if not url.hostname or not plain or not encrypted:
        raise ValueError(f"{value!r} is no server's URL: it is https://NAME, with no user, path or query")
    return f"{url.scheme}://{url.netloc}".lower()


class OrgPolicy(Strict):
    org: str
    host: str
    """`local:FOLDER`: a folder of org folders of bare repositories, where a relative one is relative to the working directory.
    `github`: github.com. `github:URL`: a GitHub Enterprise Server, such as github:https://github.example.com."""
    timezone: str = "UTC"
    quota: Quota
    ceilings: Ceilings = Ceilings()
    breaker: BreakerPolicy = BreakerPolicy()
    may_trigger: MayTrigger = MayTrigger()
    campaigns: Annotated[list[Name], AfterValidator(_unique)] = []
    """The campaign policies that may run on this org."""

    @property
    def host_kind(self) -> str:
        """local, github or gitlab."""
        return self.host.partition(":")[0]

    @property
    def host_url(self) -> str:
        """Where the host's own pages are, without a slash at the end; empty for a local one."""
        if self.host_kind == "local":
            return ""
        return self.host.partition(":")[2] or f"https://{self.host_kind}.com"

    @property
    def network_name(self) -> str:
        """The host's, as `bot.domain.events` has it: `local`, github.com, or that of a server of one's own."""
        place = self.host.partition(":")[2]
        if self.host_kind == "local":
            return self.host_kind
        own = urlsplit(place if "//" in place else f"//{place}").hostname
        return own or f"{self.host_kind}.com"

    @field_validator("org")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            raise ValueError(f"{value!r} is no org: letters, digits, `.`, `_` and `-`, and the first is a letter or digit")
        return value

    @field_validator("host")
    @classmethod
    def _known_host(cls, value: str) -> str:
        kind, _, place = value.partition(":")
        if value == "github" or (kind == "local" and place):
            return value
        if kind == "github" and place:
            return f"github:{server_url(place)}"
        raise ValueError(f"{value!r} is not offered yet: a host is `local:FOLDER`, `github` or `github:https://SERVER`")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone of the IANA database, such as Europe/Berlin") from error
        return value


# --- a platform team's: policies/campaigns/NAME.yaml ---


class TopicSelection(Strict):
    any: list[Text] = []
    none: list[Text] = []


class FileSelection(Strict):
    """Files by their path from the repository's root, globs (`**/setup.py`), or folders with something in them (`docs/`)."""

    exist: list[RelativePath] = []
    absent: list[RelativePath] = []


class Selection(Strict):
    """Which repositories of the org are targets. Names, topics and languages are compared without regard to case."""

    include: list[Text] = ["*"]
    """Globs on the name below the org; one must match."""
    exclude: list[Text] = []
    topics: TopicSelection = TopicSelection()
    languages: list[Text] = []
    """One must be among the repository's; none means any."""
    properties: dict[Text, Annotated[list[Text], Field(min_length=1)]] = {}
    """Of the org's own (custom) properties: for each that is named, one of the values must be the repository's."""
    archived: bool = False
    forks: bool = False
    max_size_mb: Annotated[int, Field(ge=1)] = 500
    files: FileSelection = FileSelection()


class ShellCommand(Strict):
    run: Text
    """For bash: a pipeline's status is that of its last command that failed, and the first failing command ends it."""

    @property
    def argv(self) -> tuple[str, ...]:
        """As CI systems start it: no start-up file, and a failure anywhere is a failure (`-eo pipefail`)."""
        return ("/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self.run)


class CommandStep(ShellCommand):
    """A command in the sandbox; the attempt fails unless it exits with 0."""


class TemplateStep(Strict):
    template: RelativePath
    to: RelativePath
    mode: Literal["create", "overwrite", "block", "merge"] = "create"
    """create: only where the file is missing. overwrite: the whole file. block: a marked block inside the file, the rest is
    left alone. merge: three-way against what this bot wrote before, so that local edits stay."""


class ClaudeStep(Strict):
    """Headless Claude Code in the sandbox."""

    claude: RelativePath | None = None
    """A prompt template's path below templates/."""
    prompt: Text | None = None
    """The prompt itself (a template too), in place of `claude:`."""
    template: RelativePath | None = None
    """With `to`: make sure that the file exists and follows this template."""
    to: RelativePath | None = None
    files: list[RelativePath] = []
    """What it should look at first."""
    config: RelativePath | None = None
    """Guidance, as a CLAUDE.md: a file below templates/, given as it is."""
    skills: RelativePath | None = None
    """A folder below templates/ with a folder for each skill (NAME/SKILL.md), given as it is."""
    subagents: RelativePath | None = None
    """A folder below templates/ with a file for each subagent (NAME.md), given as it is."""
    output_schema: OutputSchema | None = None
    """A JSON Schema, or its path below templates/: the session ends with a result that fits it."""
    name: ResultName | None = None
    """What later templates call the result: `outputs.NAME`."""
    model: Text = "claude-sonnet-5-5"
    max_turns: Annotated[int, Field(ge=1, le=500)] = 40
    timeout_minutes: Minutes | None = None
    """Of this step, within the attempt's."""
    max_usd: Usd | None = None
    """What this step may spend, within the attempt's budget."""
    tools: list[Literal["Bash", "Edit", "Read", "Write", "Glob", "Grep"]] = [
        "Bash",
        "Edit",
        "Read",
        "Write",
        "Glob",
        "Grep",
    ]

    @model_validator(mode="after")
    def _one_prompt(self) -> ClaudeStep:
        if bool(self.claude) == bool(self.prompt):
            raise ValueError("a Claude step has either `claude:` (a prompt template) or `prompt:` (the prompt itself)")
        if (self.template is None) != (self.to is None):
            raise ValueError("`template:` and `to:` of a Claude step go together")
        if self.name is not None and self.output_schema is None:
            raise ValueError("`name:` of a Claude step names the result that its `output_schema:` asks for")
        return self


Step = CommandStep | TemplateStep | ClaudeStep


def _kind_of_step(value: Any) -> str | None:
    """By the key that makes it one, so that what else is wrong is said about that kind alone."""
    keys = value.keys() if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if "claude" in keys or "prompt" in keys:
        return "Claude step"
    if "run" in keys:
        return "command step"
    return "template step" if "template" in keys else None


AnyStep = Annotated[
    Annotated[CommandStep, Tag("command step")]
    | Annotated[TemplateStep, Tag("template step")]
    | Annotated[ClaudeStep, Tag("Claude step")],
    Discriminator(_kind_of_step),
]


class Check(ShellCommand):
    """A command in a new sandbox, on the base with the change in it; the change is rejected unless it exits with 0."""


class PullRequestPolicy(Strict):
    title: RelativePath = "pull_request/title.md.j2"
    body: RelativePath = "pull_request/body.md.j2"
    branch: Text = "whimbrel/{{ policy }}"
    """A template itself."""
    labels: list[Text] = ["whimbrel"]
    draft: bool = False
    auto_merge: bool = False
    """Have the host merge it as soon as reviews and checks allow that; where a repository does not, a person merges."""
    reviewers: Literal["codeowners"] | list[Text] = "codeowners"


class Limits(Strict):
    """What one attempt's sandbox may use."""

    timeout_minutes: Minutes = 20
    memory_mb: Annotated[int, Field(ge=64)] = 4096
    cpus: Annotated[float, Field(gt=0)] = 2
    processes: Annotated[int, Field(ge=8)] = 256
    disk_mb: Annotated[int, Field(ge=1)] = 2048
    network: Literal["none"] = "none"


class Budget(Strict):
    usd_per_attempt: Usd = Decimal("2")
    usd_per_campaign: Usd = Decimal("200")

    @property
    def attempt(self) -> MicroUsd:
        return micro_usd(self.usd_per_attempt)

    @property
    def campaign(self) -> MicroUsd:
        return micro_usd(self.usd_per_campaign)


class OutputPolicy(Strict):
    """A report in the place of a pull request: nothing is published."""

    report: RelativePath | None = None
    """A template of the path of the file, below the repository's root, that the steps leave as the report. Without it, the
    report is the result of the last Claude step that has a `name:`."""
    format: Literal["md", "json", "txt"] = "md"

    @model_validator(mode="after")
    def _one_source(self) -> OutputPolicy:
        if self.report is None and self.format != "json":
            raise ValueError(f"a report in {self.format} is a file: `report:` says where the steps leave it")
        return self


class Triggers(Strict):
    """What starts the policy besides the CLI, on one repository at a time."""

    label: Annotated[str, StringConstraints(max_length=50), AfterValidator(_trigger_label)] | None = None
    """This label, put on an issue or a pull request by somebody who may: `whimbrel:` and a name, such as the policy's."""
    comment: bool = False
    """Comments such as `/whimbrel run NAME`, by somebody who may, start it, and direct its pull requests."""


class CampaignPolicy(Strict):
    name: Name
    description: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    on: Triggers = Triggers()
    select: Selection = Selection()
    paths: list[Pattern] = ["**"]
    """What the changeset may touch, as `path_rules`; a change outside is refused."""
    variables: dict[str, str | int | bool] = {}
    """Values that templates see as `vars.NAME`."""
    steps: Annotated[list[AnyStep], Field(min_length=1)]
    checks: list[Check] = []
    pull_request: PullRequestPolicy = PullRequestPolicy()
    commits: Literal["pushed", "verified"] = "pushed"
    """verified: the host makes the commit itself, and shows it as verified. What it cannot commit so is pushed, and told."""
    output: OutputPolicy | None = None
    limits: Limits = Limits()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _one_block_a_file(self) -> CampaignPolicy:
        blocks = [step.to for step in self.steps if isinstance(step, TemplateStep) and step.mode == "block"]
        for to in blocks:
            if blocks.count(to) > 1:
                raise ValueError(f"two steps with `mode: block` write to {to}; a policy has one block in a file")
        return self

    @model_validator(mode="after")
    def _one_result_a_name(self) -> CampaignPolicy:
        for name in self.results:
            if self.results.count(name) > 1:
                raise ValueError(f"two Claude steps have the name {name}")
        return self

    @model_validator(mode="after")
    def _one_way_out(self) -> CampaignPolicy:
        if self.output is None:
            return self
        if self.pull_request != PullRequestPolicy():
            raise ValueError("a policy with `output:` opens no pull request: leave out either that or `pull_request:`")
        if self.output.report is None and not self.results:
            raise ValueError("`output:` without `report:` is the result of a Claude step with a `name:`, and there is none")
        return self

    @property
    def claude_steps(self) -> tuple[ClaudeStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, ClaudeStep))

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the results that Claude steps end with, in their order."""
        return tuple(step.name for step in self.claude_steps if step.name is not None)

    @property
    def templates(self) -> tuple[str, ...]:
        """Every template that the policy needs by name, by its path below templates/, sorted."""
        steps = [step for step in self.steps if not isinstance(step, CommandStep)]
        prompts = [step.claude for step in self.claude_steps]
        published = [self.pull_request.title, self.pull_request.body] if self.output is None else []
        named = {*(step.template for step in steps), *prompts, *published, COMMIT_TEMPLATE}
        return tuple(sorted(path for path in named if path))

    @property
    def uses_model(self) -> bool:
        return bool(self.claude_steps)

    @property
    def uses_sandbox(self) -> bool:
        return bool(self.checks) or any(isinstance(step, ClaudeStep | CommandStep) for step in self.steps)


# --- a maintainer's: .whimbrel.yaml on the default branch ---


class RepositoryBudget(Strict):
    usd_per_attempt: Usd | None = None


class RepositoryLimits(Strict):
    timeout_minutes: Minutes | None = None


class RepositoryPolicy(Strict):
    """It can opt out or tighten. A wider value than the campaign's has no effect."""

    enabled: bool = True
    campaigns: dict[str, bool] = {}
    """By the name of a campaign policy: false opts out of it."""
    exclude_paths: list[Annotated[Pattern, AfterValidator(_unnegated)]] = []
    """What no changeset may touch, as `path_rules`."""
    budget: RepositoryBudget = RepositoryBudget()
    limits: RepositoryLimits = RepositoryLimits()

    def tighten(self, policy: CampaignPolicy) -> CampaignPolicy:
        """The campaign policy with whatever this repository makes narrower."""
        budget, limits = policy.budget, policy.limits
        if self.budget.usd_per_attempt is not None:
            cap = min(budget.usd_per_attempt, self.budget.usd_per_attempt)
            budget = budget.model_copy(update={"usd_per_attempt": cap})
        if self.limits.timeout_minutes is not None:
            minutes = min(limits.timeout_minutes, self.limits.timeout_minutes)
            limits = limits.model_copy(update={"timeout_minutes": minutes})
        paths = [*policy.paths, *(f"!{pattern}" for pattern in self.exclude_paths)]
        return policy.model_copy(update={"budget": budget, "limits": limits, "paths": paths})
