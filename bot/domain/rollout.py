"""How a campaign is rolled out: in which waves, what must hold before the next one, when pull requests may be opened.

It is no part of a policy's revision: another pace makes no other change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bot.domain.policy_types import Strict, Text
from bot.domain.windows import Window, parse_window

WHOLE = "100%"

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def share(percent: str) -> Fraction:
    """`12.5%` as a part of one."""
    return Fraction(Decimal(percent.removesuffix("%"))) / 100


def duration(text: str) -> timedelta:
    """`4h`: minutes, hours or days."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _percent(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,3}(\.\d{1,3})?%", value) or share(value) > 1:
        raise ValueError(f"{value!r} is no share: it is 0% to 100%, such as 50%")
    return value


def _duration(value: str) -> str:
    if not re.fullmatch(r"\d{1,4}[mhd]", value):
        raise ValueError(f"{value!r} is no time: it is a number of minutes, hours or days, such as 30m, 4h or 2d")
    return value


def _wave(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d{1,3})?%", value) and 0 < share(value) <= 1:
        return value
    raise ValueError(f"{value!r} is no wave: it is so many targets, such as 3, or a share of them, such as 10%")


def _ramp(waves: list[int | str]) -> list[int | str]:
    counts = [wave for wave in waves if isinstance(wave, int)]
    shares = [share(wave) for wave in waves if isinstance(wave, str)]
    pairs = [*pairwise(map(Fraction, counts)), *pairwise(shares)]
    if any(later <= earlier for earlier, later in pairs):
        raise ValueError("each wave holds those before it, so it is larger: such as [3, 10%, 50%, 100%]")
    if waves and (isinstance(waves[-1], int) or share(waves[-1]) != 1):
        raise ValueError(f"the last wave is {waves[-1]}, and what is beyond it would never begin: end with {WHOLE}")
    return waves


def _window(value: str) -> str:
    parse_window(value)
    return value


Percent = Annotated[str, BeforeValidator(_percent)]
Duration = Annotated[str, AfterValidator(_duration)]


class Gate(Strict):
    """What must hold in a wave before the next one: shares of its pull requests, where nothing else is said."""

    merged: Percent | None = None
    """At least so many are merged."""
    ci_passed: Percent | None = None
    """At least so many of those that have checks on the host passed them."""
    rejected: Percent | None = None
    """At most so many were closed by people without a merge, or came to none because a check or a rule refused the change."""
    edited: Percent | None = None
    """At most so many have commits by people."""
    failed: Percent | None = None
    """At most so many of the wave's runs failed, or ran out of budget."""
    after: Duration | None = None
    """So long at least after the wave began."""


class Rollout(Strict):
    waves: Annotated[list[Annotated[int | str, BeforeValidator(_wave)]], AfterValidator(_ramp)] = []
    """How many targets have begun with each wave, in all: numbers, or shares of the targets. Without any, all begin at once."""
    gate: Gate = Gate()
    approval: Literal["auto", "manual"] = "auto"
    """manual: the next wave waits for `whimbrel approve`, also when the gate holds."""
    order: Literal["listed", "small_first", "dependencies"] = "listed"
    """Which targets come first; listed is by name."""
    dependencies: dict[Text, list[Text]] = {}
    """With `order: dependencies`: by a repository's name, those that it depends on; they come before it."""
    max_open: Annotated[int, Field(ge=1)] | None = None
    """At most so many pull requests of the policy are open, within the org's ceiling."""
    per_hour: Annotated[int, Field(ge=1)] | None = None
    """At most so many are opened in an hour, within the org's ceiling."""
    windows: list[Annotated[str, AfterValidator(_window)]] = []
    """When something may be published, in the org's time zone, such as `mon-fri 09:00-17:00`; without any, always."""

    @model_validator(mode="after")
    def _something_to_hold_back(self) -> Rollout:
        if not self.waves and (self.gate != Gate() or self.approval != "auto"):
            key = "gate" if self.gate != Gate() else "approval"
            raise ValueError(f"`{key}:` stands between waves, and there are none: add `waves:`, such as [3, 10%, {WHOLE}]")
        return self

    @model_validator(mode="after")
    def _dependencies_in_order(self) -> Rollout:
        if bool(self.dependencies) != (self.order == "dependencies"):
            raise ValueError("`order: dependencies` and `dependencies:` go together: which repository depends on which")
        try:
            TopologicalSorter(self.dependencies).prepare()
        except CycleError as error:
            raise ValueError(f"`dependencies` go in a circle: {' -> '.join(reversed(error.args[1]))}") from error
        return self

    @property
    def openings(self) -> tuple[Window, ...]:
        """The windows, read."""
        return tuple(parse_window(text) for text in self.windows)


def arrange(names: Sequence[str], sizes: Mapping[str, int], rollout: Rollout) -> list[str]:
    """The repositories in the order in which they are begun: a dependency before what depends on it, equals as listed."""
    match rollout.order:
        case "listed":
            return list(names)
        case "small_first":
            return sorted(names, key=lambda name: sizes[name])
    depth: dict[str, int] = {}
    for name in TopologicalSorter(rollout.dependencies).static_order():
        depth[name] = 1 + max((depth[each] for each in rollout.dependencies.get(name, ())), default=-1)
    return sorted(names, key=lambda name: depth.get(name, 0))
