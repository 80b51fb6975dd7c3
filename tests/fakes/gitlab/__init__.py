"""A stateful GitLab of our own, on loopback: REST, some GraphQL, git over HTTP, and the webhooks that it sends itself.

    with FakeGitLab(tmp_path, clock=clock) as hub:
        hub.create_group("acme/platform")
        hub.create_project("acme/platform", "lib", files={"README.md": "hi"})
        hub.add_user("mia", groups={"acme": "developer"})
        token = hub.group_token("acme", "whimbrel")
        hub.add_hook(group="acme", url="http://127.0.0.1:8080/webhooks/gitlab", signing_token=signing_token())
        hub.as_user("mia").comment("acme/platform/lib", 1, "/whimbrel help", pull=True)

REST is below URL/api/v4, GraphQL is URL/api/graphql, git is URL/GROUP/NAME.git with Basic oauth2:TOKEN.

What it is not: GitLab. The shapes are GitLab's own, but what it does is what its documents say; the real service is not tested
here. It knows the operations that the bot uses: no runners, no boards, no epics; a rebase squashes; one version of a diff; who
clicks is not asked whether they may; nothing is rendered as HTML, and `/commands` in a text do nothing.
"""

from tests.fakes.forge.faults import Fault
from tests.fakes.forge.server import Exchange
from tests.fakes.gitlab.hub import ALL_EVENTS, FakeGitLab, signing_token
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.records import Group, Hook, Issue, Level, MergeRequest, Note, Project
from tests.fakes.gitlab.webhooks import Delivery

__all__ = [
    "ALL_EVENTS", "FakeGitLab", "Delivery", "Exchange", "Fault", "Group", "Hook", "Issue", "Level", "MergeRequest", "Note",
    "Person", "Project", "signing_token",
]  # fmt: skip
