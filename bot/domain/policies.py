"""The policies as pydantic models: for an org (the operator), a campaign (a platform team), a repository (its maintainer).

Unknown keys are refused. Reading a file, and saying where in it something is wrong, is `bot.domain.policy_files`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from bot.domain.money import MicroUsd, micro_usd

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)]
RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


# --- the operator's: policies/orgs/NAME.yaml ---


class Quota(Strict):
    usd_per_month: Usd
    """What the org may spend in a calendar month of its time zone."""
    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of the month's allowance from which `status` and `quota` warn."""
    tokens_per_hour: Annotated[int, Field(ge=1)] | None = None
    """How many tokens (input, cache and output together) may pass the gateway in an hour; more wait."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """How many requests may go to the model in a minute; more wait."""
    concurrent_runs: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many runs of the org may be dispatched or running at once."""


class Ceilings(Strict):
    """What no campaign policy may exceed."""

    usd_per_attempt: Usd = Decimal("10")
    attempts_per_run: Annotated[int, Field(ge=1, le=20)] = 3
    open_pull_requests: Annotated[int, Field(ge=1)] = 50
    pull_requests_per_hour: Annotated[int, Field(ge=1)] = 30


class MayTrigger(Strict):
    """Who may start a campaign: everybody whose permission on the org is at least this, and those named."""

    permission: Literal["read", "write", "admin"] = "write"
    users: list[str] = []
    teams: list[str] = []


class OrgPolicy(Strict):
    org: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    host: Annotated[str, StringConstraints(pattern=r"^local:.+")]
    """`local:FOLDER`: a folder of org folders of bare repositories. A relative one is relative to the working directory."""
    timezone: str = "UTC"
    quota: Quota
    ceilings: Ceilings = Ceilings()
    may_trigger: MayTrigger = MayTrigger()
    campaigns: list[Name] = []
    """The campaign policies that may run on this org."""

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
    any: list[str] = []
    none: list[str] = []


class FileSelection(Strict):
    """Paths from the repository's root, or globs (`**/setup.py`)."""

    exist: list[RelativePath] = []
    absent: list[RelativePath] = []


class Selection(Strict):
    include: list[str] = ["*"]
    exclude: list[str] = []
    topics: TopicSelection = TopicSelection()
    languages: list[str] = []
    archived: bool = False
    forks: bool = False
    max_size_mb: Annotated[int, Field(ge=1)] = 500
    files: FileSelection = FileSelection()


class CommandStep(Strict):
    """A command in the sandbox; the attempt fails unless it exits with 0."""

    run: Annotated[str, StringConstraints(min_length=1)]


class TemplateStep(Strict):
    template: RelativePath
    to: RelativePath
    mode: Literal["create", "overwrite", "block", "merge"] = "create"
    """create: only where the file is missing. overwrite: the whole file. block: a marked block inside the file, the rest is
    left alone. merge: three-way against what this bot wrote before, so that local edits stay."""


class ClaudeStep(Strict):
    """Headless Claude Code in the sandbox."""

    claude: Annotated[str, StringConstraints(min_length=1)] = ""
    """A prompt template's path below templates/."""
    prompt: str = ""
    """The prompt itself, in place of `claude:`."""
    template: RelativePath | None = None
    """With `to`: make sure that the file exists and follows this template."""
    to: RelativePath | None = None
    files: list[RelativePath] = []
    """What it should look at first."""
    model: str = "claude-sonnet-4-5"
    max_turns: Annotated[int, Field(ge=1, le=500)] = 40
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
        return self


Step = CommandStep | TemplateStep | ClaudeStep


class Check(Strict):
    run: Annotated[str, StringConstraints(min_length=1)]


class PullRequestPolicy(Strict):
    title: RelativePath = "pull_request/title.md.j2"
    body: RelativePath = "pull_request/body.md.j2"
    branch: Annotated[str, StringConstraints(min_length=1)] = "whimbrel/{{ policy }}"
    labels: list[str] = ["whimbrel"]
    draft: bool = False
    reviewers: Literal["codeowners"] | list[str] = "codeowners"


class Limits(Strict):
    """What one attempt's sandbox may use."""

    timeout_minutes: Annotated[float, Field(gt=0, le=720)] = 20
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


class CampaignPolicy(Strict):
    name: Name
    description: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    select: Selection = Selection()
    paths: list[str] = ["**"]
    """What the changeset may touch, as gitignore patterns; a change outside is refused."""
    variables: dict[str, str | int | bool] = {}
    """Values that templates see as `vars.NAME`."""
    steps: Annotated[list[Step], Field(min_length=1)]
    checks: list[Check] = []
    pull_request: PullRequestPolicy = PullRequestPolicy()
    limits: Limits = Limits()
    budget: Budget = Budget()

    @property
    def uses_model(self) -> bool:
        return any(isinstance(step, ClaudeStep) for step in self.steps)

    @property
    def uses_sandbox(self) -> bool:
        return bool(self.checks) or any(isinstance(step, ClaudeStep | CommandStep) for step in self.steps)


# --- a maintainer's: .whimbrel.yaml on the default branch ---


class RepositoryBudget(Strict):
    usd_per_attempt: Usd | None = None


class RepositoryLimits(Strict):
    timeout_minutes: Annotated[float, Field(gt=0)] | None = None


class RepositoryPolicy(Strict):
    """It can opt out or tighten. A wider value than the campaign's has no effect."""

    enabled: bool = True
    campaigns: dict[str, bool] = {}
    exclude_paths: list[str] = []
    """Paths that no changeset may touch, as gitignore patterns."""
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
