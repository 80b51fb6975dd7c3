"""What templates gave for a file, kept for the next three-way merge: once it is in the base, and no sooner.

What a pull request only proposes is not what the repository's people started from.
"""

from __future__ import annotations

from bot.pipeline.assignment import Assignment
from bot.pipeline.making import Told
from bot.services import Services
from bot.store import own_commits, publications, records, runs


def keep_merged(services: Services, assignment: Assignment) -> None:
    """What was merged since the last attempt is in the base now."""
    with services.database.reading() as tx:
        known = publications.find(tx, assignment.change)
        merged = known.head if known is not None and known.state == "merged" else ""
        own = own_commits.own_among(tx, [merged]).get(merged)
    if own is not None and own.made:
        keep_renderings(services, assignment, Told.from_json(own.made))


def keep_renderings(services: Services, assignment: Assignment, told: Told) -> None:
    run = assignment.run
    with services.database.transaction() as tx:
        runs.require(tx, run)
        for file, content in told.renderings.items():
            key = (run.org, assignment.policy.name, run.repository.name, file)
            records.save_rendering(tx, key, content, services.clock.now())
