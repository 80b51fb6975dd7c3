"""People who have the bot leave their repository alone: nothing more is begun in it, and nothing more is pushed to it.

An open pull request of the bot's stays open, for it is under review: people merge or close it. It is frozen meanwhile.
"""

from __future__ import annotations

from bot.services import Services
from bot.store import audit, opt_outs, publications
from bot.store.opt_outs import OptOut
from bot.tracking.stopping import stop_runs

SOMEBODY = "somebody"
"""Who put a label there is not told by whoever lists it."""


def leave_alone(services: Services, org: str, opt_out: OptOut) -> bool:
    """From now on; what is under way stops. False where that was so already."""
    now, repository = services.clock.now(), opt_out.repository
    with services.database.transaction() as tx:
        fresh = opt_outs.record(tx, org, opt_out)
        if fresh:
            for publication in publications.of_repository(tx, org, repository):
                if publication.state == "open" and not publication.frozen:
                    publications.freeze(tx, publication, opt_out.reason, now)
            audit.append(
                tx, services.audit_key, services.clock, org=org, actor=opt_out.actor, action="repository.opted_out",
                subject=f"{org}/{repository}", reason=opt_out.place,
            )  # fmt: skip
    stop_runs(services, org, repository, opt_out.reason)
    return fresh


def take_up_again(services: Services, org: str, repository: str, actor: str, place: str = "") -> bool:
    """The bot may work on it again: the next plan sees it. False where nothing had kept it off, or not that `place`."""
    with services.database.transaction() as tx:
        known = opt_outs.find(tx, org, repository)
        if known is None or not opt_outs.lift(tx, org, repository, place):
            return False
        for publication in publications.of_repository(tx, org, repository):
            if publication.frozen == known.reason:
                publications.freeze(tx, publication, "", services.clock.now())
        audit.append(
            tx, services.audit_key, services.clock, org=org, actor=actor, action="repository.opted_in",
            subject=f"{org}/{repository}", reason=place,
        )  # fmt: skip
    return True
