"""The arithmetic of an account: an org's month, a campaign, an attempt."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.money import MicroUsd, dollars


@dataclass(frozen=True, slots=True)
class Account:
    """One cap and what is left of it. The invariant, at every instant: spent + reserved <= cap."""

    scope: str
    key: str
    period: str
    cap: MicroUsd
    spent: MicroUsd
    reserved: MicroUsd

    @property
    def left(self) -> MicroUsd:
        """What may still be reserved; 0 where a cap was lowered below what is spent."""
        return MicroUsd(max(0, self.cap - self.spent - self.reserved))

    def refusal(self, asked: MicroUsd) -> str:
        """Why `asked` is refused, with all the figures."""
        name = f"{self.scope} {self.key}" + (f" ({self.period})" if self.period else "")
        reserved = f" and {dollars(self.reserved)} reserved" if self.reserved else ""
        return (
            f"the budget of {name} is used up: {dollars(self.spent)} spent{reserved} of {dollars(self.cap)}, "
            f"and the next request may cost {dollars(asked)}"
        )
