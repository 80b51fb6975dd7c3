"""The arithmetic of an account: an org's month, a campaign, an attempt, a step."""

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

    def alert(self, share: float) -> str:
        """What to tell people once `share` (0 to 1) of the cap is spent or reserved; "" before."""
        used = self.spent + self.reserved
        if self.cap == 0 or used < share * self.cap:
            return ""
        return f"{used / self.cap:.0%} of the budget of {self.name} is used: {dollars(MicroUsd(used))} of {dollars(self.cap)}"

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.scope, self.key, self.period and f"({self.period})") if part)

    def refusal(self, asked: MicroUsd) -> str:
        """Why `asked` is refused, with all the figures."""
        reserved = f" and {dollars(self.reserved)} reserved" if self.reserved else ""
        return (
            f"the budget of {self.name} is used up: {dollars(self.spent)} spent{reserved} of {dollars(self.cap)}, "
            f"and the next request may cost {dollars(asked)}"
        )
