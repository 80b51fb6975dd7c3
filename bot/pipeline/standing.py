"""Whose is the branch? The bot's own commits give way to newer ones; whatever people have pushed stays where it is.

Ours comes on top of theirs as a merge, whose first parent is the head that was seen: a push that moves the branch forward,
never one over theirs. Its second parent is the change by itself, on its base, so that the branch alone tells what is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import pygit2

from bot.git import Mirror, Signature, commits_apart, is_plain_merge, merge_base, merged_tree, moved_tree, write_merge
from bot.pipeline.assignment import Assignment
from bot.pipeline.starting import Base
from bot.services import BOT_EMAIL, BOT_NAME, Services
from bot.store import own_commits, publications, runs
from bot.store.own_commits import Own


@dataclass(frozen=True, slots=True)
class Standing:
    """What is on the branch that the base has not.

    `foreign` are the commits that are not the bot's, oldest first. Of those, `work` is people's: neither a merge and nothing
    more, such as a host's button makes to bring the base in, nor what somebody has given to the bot. `since` is the commit from
    which on the branch's content is theirs, "" where none is the bot's. `own` is the newest change of the bot's on it.
    """

    head: str | None
    foreign: tuple[str, ...] = ()
    work: tuple[str, ...] = ()
    since: str = ""
    own: Own | None = None

    @property
    def why_frozen(self) -> str:
        """Why nothing at all may be pushed, whatever the change is; empty where something may."""
        return "" if self.since or not self.work else f"{_commits(self.work)} by people, and none of the bot's"


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a change goes. `commit` is what the branch is to show: the change's own, one that joins it with what is there, or
    the head as it is, where that has it all. `frozen` is why it goes nowhere."""

    commit: str
    frozen: str = ""


def stand(services: Services, assignment: Assignment, base: Base) -> Standing:
    """Look at the branch as it was fetched. What publishes nothing has none to look at."""
    if base.branch_head is None or assignment.campaign.preview or assignment.policy.output is not None:
        return Standing(None)
    mirror, head = base.mirror, base.branch_head
    apart = commits_apart(mirror, head, [base.commit])
    with services.database.reading() as tx:
        ours = own_commits.own_among(tx, apart)
        known = publications.find(tx, assignment.change)
    # A base that was rewritten has lost commits that the bot's stand on: nobody has put those on this branch.
    bases = {own.base for own in ours.values() if mirror.has(own.base)}
    foreign = [each for each in commits_apart(mirror, head, [base.commit, *bases]) if each not in ours]
    given = _given(mirror, known.taken_over if known else "", base.commit, apart)
    work = [each for each in foreign if each not in given and not is_plain_merge(mirror, each)]
    newest = next((each for each in reversed(apart) if each in ours or each in given), "")
    own = next((ours[each] for each in reversed(apart) if each in ours), None)
    since = ours[newest].commit if newest in ours else newest
    return Standing(head, tuple(foreign), tuple(work), since if mirror.has(since) else "", own)


def land(services: Services, assignment: Assignment, base: Base, standing: Standing, commit: str) -> Landing:
    """Where `commit` goes, the change on its base. What joins it with people's is recorded before anybody can see it."""
    mirror, head = base.mirror, standing.head
    if head is None or not standing.foreign:
        return Landing(commit)
    if standing.why_frozen:
        return Landing("", standing.why_frozen)
    tree = _on_top(mirror, standing.since, head, base.commit, commit) if standing.work else mirror.commit(commit).tree_id
    if tree is None:
        return Landing("", f"{_commits(standing.work)} by people, with which the bot's change conflicts")
    if tree == mirror.commit(head).tree_id and mirror.is_ancestor(base.commit, head):
        return Landing(head)
    message = f"Merge what {assignment.policy.name} changes on {assignment.run.base}\n"
    joined = write_merge(mirror, tree, (head, commit), message, Signature(BOT_NAME, BOT_EMAIL, services.clock.now()))
    mirror.keep(assignment.run.attempt_key, joined)
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        runs.note_attempt(tx, assignment.run, head=joined)
    return Landing(joined)


def _given(mirror: Mirror, taken_over: str, base: str, apart: list[str]) -> set[str]:
    """What a person has given to the bot: the head that they saw, and what is below it, as long as it is on the branch."""
    if taken_over not in apart:
        return set()
    return set(commits_apart(mirror, taken_over, [base]))


def _on_top(mirror: Mirror, since: str, head: str, base: str, commit: str) -> pygit2.Oid | None:
    """People's content with what is new in ours; None where the two conflict.

    What people have taken out of the bot's change stays out: it is not new. What is theirs is what `head` has besides `since`,
    once that is brought to the base that the branch has by now: whoever merged the base has not written it.
    """
    before, now = merge_base(mirror, since, base), merge_base(mirror, head, base)
    moved = moved_tree(mirror, since, before, now) if before and now and before != now else None
    ancestor = moved or mirror.commit(since).tree_id
    return merged_tree(mirror, ancestor, mirror.commit(head).tree_id, mirror.commit(commit).tree_id)


def _commits(some: tuple[str, ...]) -> str:
    return f"{len(some)} commit{'s' if len(some) != 1 else ''}"
