"""The policies of a campaign (a platform team's) and of a repository (its maintainer's), as pydantic models.

The operator's are `bot.domain.org_policies`. Unknown keys are refused. Reading a file, and saying where in it something is
wrong, is `bot.domain.policy_files`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bot.domain.guards.policy import Guards, RepositoryGuards
from bot.domain.money import MicroUsd, micro_usd
from bot.domain.policy_types import Minutes, Name, Pattern, RelativePath, Strict, Text, Usd
from bot.domain.rollout import Rollout
from bot.domain.schedules import cron
from bot.domain.steps import AnyStep, Check, ClaudeStep, CommandStep, EditStep, ShellCommand, TemplateStep

LABEL_PREFIX = "whimbrel:"
"""How each label begins that starts a policy."""

OFF_LABEL = f"{LABEL_PREFIX}off"
"""On an issue or a pull request, it has the bot leave the repository alone."""

COMMIT_TEMPLATE = "pull_request/commit.md.j2"
"""What renders the message of every commit."""


def _unnegated(value: str) -> str:
    if value.startswith("!"):
        raise ValueError(f"{value!r} would take back what others exclude; a repository can only exclude")
    return value


def _trigger_label(value: str) -> str:
    if not value.removeprefix(LABEL_PREFIX) or not value.startswith(LABEL_PREFIX):
        raise ValueError(f"{value!r} could be anybody's label: begin it with `{LABEL_PREFIX}`, such as {LABEL_PREFIX}NAME")
    if value == OFF_LABEL:
        raise ValueError(f"{value!r} has the bot leave a repository alone: give the policy's label another name")
    return value


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
    fork: bool = False
    """Where the bot may not push to a repository, propose the change from a fork of it; the org policy's `forks` says whose."""


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


class JudgePolicy(Strict):
    """A second model that looks at each change once its checks have passed, and can refuse it. Without its opinion, nothing is
    published."""

    model: Text = "claude-sonnet-5-5"
    max_usd: Usd = Decimal("0.50")
    """What it may spend in one attempt, within the attempt's budget."""
    instructions: Text | None = None
    """What it should look for, besides whether the change does what the policy is for."""


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
    """What starts the policy besides the CLI: a label, a comment or a new repository on that repository alone, a schedule and a
    changed template on the whole org."""

    label: Annotated[str, StringConstraints(max_length=50), AfterValidator(_trigger_label)] | None = None
    """This label, put on an issue or a pull request by somebody who may: `whimbrel:` and a name, such as the policy's."""
    comment: bool = False
    """Comments such as `/whimbrel run NAME`, by somebody who may, start it, and direct its pull requests."""
    schedule: Annotated[str, AfterValidator(cron)] | None = None
    """Cron's five fields, in the org's time zone: `0 3 * * 1` is 3:00 on each Monday. A campaign that is still active is
    joined."""
    schedule_grace_minutes: Annotated[int, Field(ge=1, le=10_080)] = 360
    """How late a slot is still run, where no scheduler was at work. Later, it is noted as missed."""
    schedule_jitter_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    """Each slot is put off by up to so much, a different time for each policy, so that not all begin at once."""
    repository_created: bool = False
    """A new repository of the org, as the host tells of it, is planned by itself, once it has a commit."""
    template_changed: bool = False
    """A push to the repository that `policies_from` names starts the policy, where it changes the policy or a template that it
    reaches."""


class Detection(Strict):
    """Whether a base still needs the change: what is open for one that does not is closed, one that does again is taken up."""

    files: FileSelection | None = None
    """It does where all of this holds at the head of its default branch."""
    run: Text | None = None
    """For bash, in the sandbox, on a checkout of the base: 0 says that it does, 1 that it does not. Run in an attempt, once a
    commit of the base."""

    @model_validator(mode="after")
    def _one_way(self) -> Detection:
        if (self.files is None) == (self.run is None):
            raise ValueError("`detect:` has either `files:` or `run:`")
        return self

    @property
    def argv(self) -> tuple[str, ...]:
        return ShellCommand(run=self.run or "false").argv


class CampaignPolicy(Strict):
    name: Name
    description: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    on: Triggers = Triggers()
    select: Selection = Selection()
    paths: list[Pattern] = ["**"]
    """What the changeset may touch, as `path_rules`; a change outside is refused."""
    variables: dict[str, str | int | bool] = {}
    """Values that templates see as `vars.NAME`."""
    detect: Detection | None = None
    """Whether a base still needs the change; without it, only making it tells."""
    prepare: Literal["none", "auto"] | Annotated[list[Text], Field(min_length=1)] = "none"
    """What the repository's own tests need is fetched before the agent, from the org's registries alone: by these commands,
    which leave it in /prepared, or as its files show (Python, Node). Afterwards it is there read-only, without a network."""
    steps: Annotated[list[AnyStep], Field(min_length=1)]
    checks: list[Check] = []
    feedback_rounds: Annotated[int, Field(ge=0, le=5)] = 2
    """How often what failed is given back to the session of the last Claude step, to be mended within the attempt's budget."""
    guards: Guards = Guards()
    """What agents and commands may not do to a repository, whatever they were asked; always on unless said otherwise."""
    judge: JudgePolicy | None = None
    pull_request: PullRequestPolicy = PullRequestPolicy()
    commits: Literal["pushed", "verified"] = "pushed"
    """verified: the host makes the commit itself, and shows it as verified. What it cannot commit so is pushed, and told."""
    output: OutputPolicy | None = None
    rollout: Rollout = Rollout()
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
        if self.rollout != Rollout(order=self.rollout.order, dependencies=self.rollout.dependencies):
            raise ValueError("a policy with `output:` opens no pull request: of `rollout:`, it can have nothing but the order")
        if self.judge is not None:
            raise ValueError("a policy with `output:` makes no change that a judge could look at: leave out `judge:`")
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
        steps = [step for step in self.steps if isinstance(step, TemplateStep | ClaudeStep)]
        edits = [step.edit for step in self.steps if isinstance(step, EditStep)]
        prompts = [*(step.claude for step in self.claude_steps), *edits]
        published = [self.pull_request.title, self.pull_request.body] if self.output is None else []
        named = {*(step.template for step in steps), *prompts, *published, COMMIT_TEMPLATE}
        return tuple(sorted(path for path in named if path))

    @property
    def uses_model(self) -> bool:
        return any(isinstance(step, ClaudeStep | EditStep) for step in self.steps)

    @property
    def uses_sandbox(self) -> bool:
        detects = self.detect is not None and self.detect.run is not None
        return (
            detects
            or bool(self.checks)
            or self.prepare != "none"
            or any(isinstance(step, ClaudeStep | CommandStep) for step in self.steps)
        )


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
    guards: RepositoryGuards = RepositoryGuards()
    """Can be made stricter."""
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
        guards = policy.guards.tightened(self.guards)
        return policy.model_copy(update={"budget": budget, "limits": limits, "paths": paths, "guards": guards})
