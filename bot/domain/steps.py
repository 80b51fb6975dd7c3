"""The steps and checks of a campaign policy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from bot.domain.policy_types import Minutes, OutputSchema, Pattern, RelativePath, ResultName, Strict, Text, Usd


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


class EditStep(Strict):
    """One request to a model for small edits, where a session would be waste: it sees these files, and changes no others."""

    edit: RelativePath
    """A prompt template's path below templates/. Where it says nothing of the repository, it is cached across repositories."""
    files: Annotated[list[Pattern], Field(min_length=1)]
    """What the model is given, and may change or add, as in .gitignore: together at most 50 files and 200,000 characters."""
    model: Text = "claude-sonnet-5-5"
    max_usd: Usd | None = None
    """What this step may spend, within the attempt's budget."""


Step = CommandStep | TemplateStep | ClaudeStep | EditStep


def _kind_of_step(value: Any) -> str | None:
    """By the key that makes it one, so that what else is wrong is said about that kind alone."""
    keys = value.keys() if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if "claude" in keys or "prompt" in keys:
        return "Claude step"
    if "edit" in keys:
        return "edit step"
    if "run" in keys:
        return "command step"
    return "template step" if "template" in keys else None


AnyStep = Annotated[
    Annotated[CommandStep, Tag("command step")]
    | Annotated[TemplateStep, Tag("template step")]
    | Annotated[ClaudeStep, Tag("Claude step")]
    | Annotated[EditStep, Tag("edit step")],
    Discriminator(_kind_of_step),
]


class Check(ShellCommand):
    """A command in a new sandbox, on the base with the change in it; the change is rejected where it fails newly.

    It is run on the untouched base too: what fails there is not held against the change.
    """

    junit: list[Pattern] = []
    """Globs, as in `paths:`, of the JUnit XML files that it leaves in the tree: single cases are compared. What matches before
    it is run is removed."""
    tap: bool = False
    """Its stdout is TAP: single cases are compared."""
    required: bool = False
    """It must pass whatever the base does: for what the change itself is to bring about."""

    @model_validator(mode="after")
    def _one_kind_of_results(self) -> Check:
        if self.junit and self.tap:
            raise ValueError("a check tells of its cases by `junit:` or by `tap:`, not by both")
        return self
