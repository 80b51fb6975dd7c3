"""A stateful GitHub of our own, on loopback: REST, GraphQL, git over HTTP, pages, and the webhooks that it sends itself.

    with FakeGitHub(tmp_path, clock=clock) as hub:
        hub.create_org("acme")
        hub.create_repository("acme", "one", files={"README.md": "hi"})
        hub.webhook_url = "http://127.0.0.1:8080/webhooks/github"
        hub.install("acme")
        hub.as_user("mia").comment("acme/one", 1, "/whimbrel help")

REST is below URL/api/v3, GraphQL is URL/api/graphql, git is URL/ORG/NAME.git with Basic x-access-token:TOKEN. Each distinct
exchange and webhook is held against GitHub's own published descriptions (`guard`), and every GraphQL document against its
schema.

What it is not: GitHub. The shapes are GitHub's own, but what it does is what its documents say and what we have seen of it; the
real service is not tested here. It knows the operations that the bot uses, one kind of branch rule, no search, no Actions, no
GitHub Enterprise settings; its commits are "verified" by a signature that nobody could check; who clicks on its pages is taken
for an owner.
"""

from tests.fakes.forge.faults import Fault
from tests.fakes.forge.server import Exchange
from tests.fakes.github.hub import FakeGitHub
from tests.fakes.github.people import Person
from tests.fakes.github.records import App, Installation, Pull, Repository
from tests.fakes.github.webhooks import Delivery

__all__ = ["FakeGitHub", "App", "Delivery", "Exchange", "Fault", "Installation", "Person", "Pull", "Repository"]
