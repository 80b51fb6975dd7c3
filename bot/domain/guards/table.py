"""All guards, and what they say of a change as one explained tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bot.domain.guards.change import Change, Finding
from bot.domain.guards.ci import ci_kept
from bot.domain.guards.codeowners import owners_kept
from bot.domain.guards.generated import generated_kept
from bot.domain.guards.licences import licences_kept
from bot.domain.guards.lockfiles import locks_kept
from bot.domain.guards.permissions import permissions_kept
from bot.domain.guards.policy import NAMES, GuardName, Guards
from bot.domain.guards.secrets import secrets_added
from bot.domain.guards.size import not_reformatted, small_enough
from bot.domain.guards.tests_kept import assertions_kept, skips_kept, tests_kept
from bot.domain.verdicts import Decision, Verdict

SHOWN = 20
"""Findings of one guard that are told one by one."""

GUARDS: dict[GuardName, Callable[[Change], Iterable[Finding]]] = {
    "tests": tests_kept,
    "skips": skips_kept,
    "assertions": assertions_kept,
    "ci": ci_kept,
    "codeowners": owners_kept,
    "permissions": permissions_kept,
    "secrets": secrets_added,
    "generated": generated_kept,
    "lockfiles": locks_kept,
    "licences": licences_kept,
    "reformatting": not_reformatted,
}
"""Each by its name; `size` besides, which needs the policy's figures."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What one guard found, and whether that stops the change."""

    name: GuardName
    blocks: bool
    findings: tuple[Finding, ...]


def inspect(change: Change, guards: Guards) -> tuple[Guarded, ...]:
    """What each guard found that is not off; pure, and no text of the change is run."""
    asked = [name for name in NAMES if guards.mode(name) != "off"]
    return tuple(Guarded(name, guards.mode(name) == "block", _findings(name, change, guards)) for name in asked)


def judge_guards(found: tuple[Guarded, ...]) -> Verdict:
    """Fails where a guard that blocks has found something; each finding is told with its place."""
    leaves = tuple(_leaf(each) for each in found)
    failed = [each for each in found if each.findings and each.blocks]
    warned = [each for each in found if each.findings and not each.blocks]
    if failed:
        return Verdict("guards", Decision.FAIL, "; ".join(f"{each.name}: {_told(each)}" for each in failed), leaves)
    if warned:
        return Verdict("guards", Decision.PASS, f"{', '.join(each.name for each in warned)}: told, and let through", leaves)
    return Verdict("guards", Decision.PASS, f"none of {len(leaves)} guards objects" if leaves else "all guards are off", leaves)


def _findings(name: GuardName, change: Change, guards: Guards) -> tuple[Finding, ...]:
    found = small_enough(change, guards) if name == "size" else GUARDS[name](change)
    return tuple(sorted(dict.fromkeys(found), key=lambda each: (each.path, each.line)))


def _leaf(guarded: Guarded) -> Verdict:
    if not guarded.findings:
        return Verdict(guarded.name, Decision.PASS, "nothing found")
    decision = Decision.FAIL if guarded.blocks else Decision.PASS
    places = tuple(Verdict(each.place, decision, each.reason) for each in guarded.findings[:SHOWN])
    return Verdict(guarded.name, decision, _told(guarded), places)


def _told(guarded: Guarded) -> str:
    first, more = guarded.findings[0], len(guarded.findings) - 1
    return f"{first}{f' (and {more} more)' if more else ''}"
