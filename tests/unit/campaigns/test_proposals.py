"""A pull request that changes an org's policies is told what that would come to; nothing of it is kept or run."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from bot.campaigns.proposals import LEASE, MARKER, tell_proposals
from bot.campaigns.sources import CHECK
from bot.domain.pull_requests import PullRequestText
from bot.errors import HostUnavailable
from bot.store.schema import campaigns, plans, revisions
from tests.fakes.policy_repository import PLATFORM, Site, files, policy
from tests.fakes.repositories import Files
from tests.fakes.world import World

BRANCH = "kinder"
DETECT = "detect: {run: 'touch /tmp/detected'}\n"


class Proposals(Site):
    """An org with policies in use, and pull requests that would change them."""

    def __init__(self, world: World, *listed: str):
        super().__init__(world, *listed)
        world.repository("one")
        world.repository("two")
        self.push(files(notes=policy()))
        self.look()

    def propose(self, content: Files, branch: str = BRANCH) -> tuple[int, str]:
        """A pull request's number, and the commit that it is at."""
        head = self.push(content, branch)
        text = PullRequestText("Be kinder", "Why not?")
        opened = self.world.local.open_pull_request(PLATFORM, branch=branch, base="main", text=text)
        return opened.number, head

    def told(self, number: int) -> str:
        """What the bot's one comment there says, once all is told."""
        self.look()
        tell_proposals(self.services)
        said = [comment.body for comment in self.world.local.pull_request(PLATFORM, number).comments]
        assert len(said) <= 1
        return said[0] if said else ""


@pytest.fixture
def site(world: World) -> Proposals:
    return Proposals(world, "notes", "others")


def test_it_is_told_which_targets_and_at_what_cost(site: Proposals) -> None:
    number, head = site.propose(files(notes=policy(more="select: {include: [one]}")))
    said = site.told(number)
    assert f"At `{head[:12]}`, planned and not run" in said
    assert "| `notes` | changed | 1 | 2 | nothing: " in said
    assert "- one" in said
    assert MARKER in said
    assert site.check(head).passed
    assert site.check(head).summary == "They would be in use when this is merged."


def test_one_comment_is_edited_with_each_push(site: Proposals) -> None:
    number, first = site.propose(files(notes=policy(more="select: {include: [one]}")))
    assert first[:12] in site.told(number)
    edits = site.talker.edits
    assert first[:12] in site.told(number)
    assert site.talker.edits == edits, "nothing is new"
    second = site.push(files(notes=policy(more="select: {include: [nothing]}")), BRANCH)
    assert second[:12] in site.told(number)
    assert "| `notes` | changed | 0 | 3 |" in site.told(number)
    site.push(files(notes=policy()), BRANCH)
    assert "no policy comes to another change" in site.told(number)


def test_nothing_of_a_proposal_is_kept_or_run(site: Proposals) -> None:
    """It has commands, `detect:` too, and a prompt; in this world asking for a sandbox or a model fails."""
    steps = "steps: [{run: 'touch /tmp/proposed'}, {prompt: '{{ cycler.__init__ }}', model: claude-sonnet-5-5}]"
    proposed = (
        f"name: others\ndescription: x\non: {{schedule: '* * * * *', template_changed: true}}\n{steps}\n{DETECT}".encode()
    )
    before = (counted(site), site.catalogue().listed(site.world.org))
    number, _ = site.propose(files(others=proposed, notes=policy()))
    said = site.told(number)
    assert "| `others` | new | 3 | 0 | about $6.000000, at most $6.000000 (the attempt budget:" in said
    assert (counted(site), site.catalogue().listed(site.world.org)) == before
    assert site.actions() == ["policies.adopted by whimbrel"]


def counted(site: Proposals) -> list[int]:
    with site.world.database.reading() as tx:
        return [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in (revisions, plans, campaigns)]


def test_a_broken_proposal_is_told_with_its_place(site: Proposals) -> None:
    number, head = site.propose(files(notes=policy(more="budget: {usd_per_attempt: 50}")))
    assert "above the ceiling of $10.00 that acme sets" in site.told(number)
    assert site.check(head).passed is False
    assert "It would be refused." in site.check(head).summary


def test_what_does_not_touch_the_policies_is_left_alone(site: Proposals) -> None:
    number, head = site.propose({"README.md": b"words"})
    assert site.told(number) == ""
    assert CHECK not in site.world.local.checks(PLATFORM, head)


def test_a_branch_that_is_behind_is_compared_with_where_it_began(site: Proposals) -> None:
    number, _ = site.propose({"whimbrel/campaigns/others.yaml": policy("others")})
    site.push(files(notes=policy(more="select: {include: [one]}")))
    said = site.told(number)
    assert "`others` | new" in said
    assert "`notes`" not in said


def test_what_is_not_listed_removed_or_only_started_otherwise_is_told(site: Proposals) -> None:
    site.push(files(notes=policy(), others=policy("others")))
    number, _ = site.propose(
        files(extra=policy("extra"), notes=policy(on="{schedule: '0 3 * * 1'}")) | {"whimbrel/campaigns/others.yaml": None}
    )
    said = site.told(number)
    assert "| `extra` | new | | | the operator does not list it, so it would not run |" in said
    assert "| `notes` | started otherwise | | | schedule: 0 3 * * 1 |" in said
    assert "| `others` | removed | | | it would not run any more |" in said


def test_in_a_public_repository_no_other_one_is_named(site: Proposals) -> None:
    meta = site.world.folder / "host" / "acme" / "platform.meta"
    meta.mkdir(exist_ok=True)
    (meta / "repository.json").write_text('{"visibility": "public"}')
    number, _ = site.propose(files(notes=policy(more="select: {include: [one]}")))
    said = site.told(number)
    assert "| `notes` | changed | 1 | 2 |" in said
    assert "- one" not in said


def test_who_dies_of_it_is_followed_by_another(site: Proposals) -> None:
    number, head = site.propose(files(notes=policy(more="select: {include: [one]}")))

    def fail(_: str) -> None:
        raise HostUnavailable("503")

    site.talker.watch = fail
    assert site.told(number) == ""
    site.talker.watch = lambda _: None
    site.world.clock.advance(LEASE.total_seconds())
    assert head[:12] in site.told(number)


def test_a_proposal_whose_branch_is_gone_is_no_more(site: Proposals) -> None:
    number, _ = site.propose(files(notes=policy(more="select: {include: [one]}")))
    site.look()
    site.world.local.close(PLATFORM, number, by="mia")
    (site.world.folder / "host" / "acme" / "platform.git" / "refs" / "heads" / BRANCH).unlink()
    assert tell_proposals(site.services) == 1
    assert tell_proposals(site.services) == 0
    assert site.told(number) == ""
