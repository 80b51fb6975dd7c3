"""What a policy says of the guards."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from bot.domain.policy_types import Strict

Mode = Literal["off", "warn", "block"]
GuardName = Literal[
    "tests",
    "skips",
    "assertions",
    "ci",
    "codeowners",
    "permissions",
    "secrets",
    "generated",
    "lockfiles",
    "licences",
    "reformatting",
    "size",
]
NAMES: tuple[GuardName, ...] = get_args(GuardName)

_STRICTNESS: dict[Mode, int] = {"off": 0, "warn": 1, "block": 2}


class Guards(Strict):
    """Each is `block` (nothing is published), `warn` (it is shown in the pull request) or `off`. They bind what agents and
    commands change; what a template step writes is the policy's own word."""

    tests: Mode = "block"
    """Tests that are gone, without others in their place."""
    skips: Mode = "block"
    """Tests that are there, and are not run any more: skipped, expected to fail, left out by a setting."""
    assertions: Mode = "block"
    """Tests that can hardly fail any more."""
    ci: Mode = "block"
    """Pipelines that look at less, or whose failures do not count; less coverage asked for."""
    codeowners: Mode = "block"
    """Files whose owners are asked no more."""
    permissions: Mode = "block"
    """Workflows that may do more: permissions, secrets, triggers with a token that writes."""
    secrets: Mode = "block"
    """Keys, tokens and passwords that are added, or written to a log."""
    generated: Mode = "block"
    """Generated and vendored files that are edited, or come in."""
    lockfiles: Mode = "block"
    """Lock files that change without a manifest."""
    licences: Mode = "block"
    """Licence headers and files that are lost, or become another licence."""
    reformatting: Mode = "block"
    """White space that changes en masse."""
    size: Mode = "block"
    """More than `max_changed_lines` or `max_files`."""
    max_changed_lines: Annotated[int, Field(ge=1)] = 2000
    """Added and removed, without lock files and files that are deleted as a whole."""
    max_files: Annotated[int, Field(ge=1)] = 200

    def mode(self, name: GuardName) -> Mode:
        found: Mode = getattr(self, name)
        return found

    def laxer_than(self, mode: Mode, names: list[GuardName]) -> list[GuardName]:
        """Those of `names` that do less than `mode`."""
        return [name for name in names if _STRICTNESS[self.mode(name)] < _STRICTNESS[mode]]

    def tightened(self, other: RepositoryGuards) -> Guards:
        """With whatever `other` makes stricter."""
        asked: dict[GuardName, Mode] = {name: getattr(other, name) for name in NAMES if getattr(other, name) is not None}
        stricter = {str(name): mode for name, mode in asked.items() if _STRICTNESS[mode] > _STRICTNESS[self.mode(name)]}
        limits = {
            key: min(getattr(self, key), getattr(other, key))
            for key in ("max_changed_lines", "max_files")
            if getattr(other, key) is not None
        }
        return self.model_copy(update={**stricter, **limits})


class RepositoryGuards(Strict):
    """A repository's own word on the guards: it can tighten; a laxer value has no effect."""

    tests: Mode | None = None
    skips: Mode | None = None
    assertions: Mode | None = None
    ci: Mode | None = None
    codeowners: Mode | None = None
    permissions: Mode | None = None
    secrets: Mode | None = None
    generated: Mode | None = None
    lockfiles: Mode | None = None
    licences: Mode | None = None
    reformatting: Mode | None = None
    size: Mode | None = None
    max_changed_lines: Annotated[int, Field(ge=1)] | None = None
    max_files: Annotated[int, Field(ge=1)] | None = None
