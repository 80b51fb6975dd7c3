"""Webhooks, told genuine and told in our words: what GitHub signs, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    InstallationChanged,
    IssueEdited,
    Labelled,
    Ping,
    PullRequestChanged,
    Pushed,
    RepositoryChanged,
    RepositoryRef,
    Reviewed,
)
from bot.domain.pull_requests import CommentRef, Thread
from bot.errors import ConfigurationError, HostError, UsageError
from bot.hosts.github_events import READERS, normalise_github
from bot.hosts.signers import Signer, signers
from bot.hosts.webhooks import github_delivery, verify_github
from tests.fakes import deliveries
from tests.fakes.deliveries import JSON_VALUES, OLD_SECRET, SECRET, about, encode, user

TOOL = RepositoryRef("local", "acme", "tool")
HEAD = "a" * 40


NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def signed(secrets: Sequence[str], body: bytes, headers: Mapping[str, str]) -> bool:
    return verify_github(signers("https://local", secrets), body, headers, NOW) == {"local"}


class TestSignatures:
    def test_the_example_of_githubs_documents(self) -> None:
        signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        given = {"X-Hub-Signature-256": signature}
        assert signed(["It's a Secret to Everybody"], b"Hello, World!", given)
        assert not signed(["It's a Secret to Everybody"], b"Hello, World", given)
        assert not signed(["it's a secret to everybody"], b"Hello, World!", given)

    @pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
    def test_while_it_is_rotated_either_secret_is_good(self, secret: str) -> None:
        assert signed([SECRET, OLD_SECRET], b"{}", deliveries.headers(b"{}", "ping", secret=secret))

    def test_it_says_whose_secret_it_was(self) -> None:
        known = [Signer("github.com", SECRET), Signer("ghes.example.com", OLD_SECRET), Signer("old.example.com", OLD_SECRET)]
        by = {each: deliveries.headers(b"{}", "ping", secret=each) for each in (SECRET, OLD_SECRET)}
        assert verify_github(known, b"{}", by[SECRET], NOW) == {"github.com"}
        assert verify_github(known, b"{}", by[OLD_SECRET], NOW) == {"ghes.example.com", "old.example.com"}

    @pytest.mark.parametrize("signature", ["", "sha256=", "sha1=757107ea", "757107ea", "sha256=ü", "sha256=" + "0" * 64])
    def test_anything_else_is_no_signature(self, signature: str) -> None:
        assert not signed([SECRET], b"{}", {"X-Hub-Signature-256": signature})
        assert not signed([SECRET], b"{}", {})

    @pytest.mark.parametrize("secrets", [[], [""]])
    def test_without_a_secret_nothing_is_genuine(self, secrets: list[str]) -> None:
        with pytest.raises(ConfigurationError, match="no webhook secret"):
            signed(secrets, b"{}", deliveries.headers(b"{}", "ping", secret=""))

    @given(body=st.binary(max_size=200), flipped=st.integers(min_value=0))
    def test_one_bit_is_enough(self, body: bytes, flipped: int) -> None:
        good = deliveries.headers(body, "ping")
        forged = bytearray(body or b"x")
        forged[flipped % len(forged)] ^= 1 << flipped % 8
        assert signed([SECRET], body, good)
        assert not signed([SECRET], bytes(forged), good)


class TestNames:
    def test_a_delivery_has_an_id_and_an_event(self) -> None:
        named = github_delivery(deliveries.headers(b"", "issue_comment", delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958"), b"")
        assert (named.id, named.event) == ("72d3162e-cc78-11e3-81ab-4c9367dc0958", "issue_comment")

    @pytest.mark.parametrize("name", ["X-GitHub-Delivery", "X-GitHub-Event"])
    @pytest.mark.parametrize("value", ["", "a b", "a\n", "x" * 201, "ü"])
    def test_what_is_no_name_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(UsageError, match=name):
            github_delivery(deliveries.headers(b"", "ping") | {name: value}, b"")


def told(event: str, payload: dict[str, Any]) -> Event:
    [found] = normalise_github(event, encode(payload))
    return found


class TestEvents:
    def test_a_label_on_an_issue(self) -> None:
        event = told("issues", deliveries.labelled("whimbrel:x"))
        assert event == Labelled(TOOL, 7, "whimbrel:x", "alice", False, "issue", False, "2026-01-15T12:00:00Z")

    def test_the_text_of_an_issue_that_was_changed(self) -> None:
        issue = {"number": 7, "updated_at": "2026-01-15T12:00:00Z", "body": "- [x] go"}
        payload = deliveries.about("edited", issue=issue, changes={"body": {"from": "- [ ] go"}})
        assert told("issues", payload) == IssueEdited(
            TOOL, 7, "- [ ] go", "- [x] go", "alice", actor_is_bot=False, at="2026-01-15T12:00:00Z"
        )
        assert normalise_github("issues", encode(payload | {"changes": {"title": {"from": "T"}}})) == []

    def test_a_label_that_is_taken_off_a_pull_request(self) -> None:
        event = told("pull_request", deliveries.pull_request("unlabeled", 3, label={"name": "x"}))
        assert event == Labelled(TOOL, 3, "x", "alice", False, "pull_request", True, "2026-01-15T12:00:00Z")

    def test_a_comment_on_an_issue(self) -> None:
        event = told("issue_comment", deliveries.commented("/whimbrel help", comment=12))
        assert event == Commented(TOOL, CommentRef(Thread(7, "issue"), 12, "comment"), "/whimbrel help", "alice", False)

    def test_a_comment_on_a_pull_request_of_a_bot(self) -> None:
        payload = deliveries.commented("hi")
        payload["issue"]["pull_request"] = {"url": "…"}
        payload["sender"] = user("dependabot[bot]", "Bot")
        event = told("issue_comment", payload)
        assert isinstance(event, Commented)
        assert (event.thread.kind, event.actor_is_bot) == ("pull_request", True)

    @pytest.mark.parametrize("action", ["edited", "deleted"])
    def test_only_a_new_comment_is_one(self, action: str) -> None:
        assert normalise_github("issue_comment", encode({"action": action})) == []

    def test_a_comment_in_the_code(self) -> None:
        payload = about("created", pull_request={"number": 3}, comment={"id": 12, "body": "why?"})
        event = told("pull_request_review_comment", payload)
        assert event == Commented(TOOL, CommentRef(Thread(3, "pull_request"), 12, "review_comment"), "why?", "alice", False)

    def test_a_review_without_words(self) -> None:
        review = {"id": 9, "state": "APPROVED", "body": None}
        event = told("pull_request_review", about("submitted", pull_request={"number": 3}, review=review))
        assert event == Reviewed(TOOL, 3, 9, "approved", "", "alice", False)

    @pytest.mark.parametrize(
        ("action", "merged", "what"),
        [
            ("closed", False, "closed"),
            ("closed", True, "merged"),
            ("reopened", False, "reopened"),
            ("synchronize", False, "synchronized"),
            ("edited", False, "edited"),
        ],
    )
    def test_a_pull_request_that_changed(self, action: str, merged: bool, what: Any) -> None:
        event = told("pull_request", deliveries.pull_request(action, 3, merged=merged))
        assert event == PullRequestChanged(TOOL, 3, what, HEAD, "alice")

    def test_what_ci_says(self) -> None:
        assert told("check_suite", about("requested", check_suite={"head_sha": HEAD, "conclusion": None})) == ChecksChanged(
            TOOL, HEAD, ""
        )

    def test_a_push_to_the_default_branch_alone(self) -> None:
        payload = about("", ref="refs/heads/main", before="b" * 40, after=HEAD)
        assert told("push", payload) == Pushed(TOOL, "main", "b" * 40, HEAD, "alice")
        assert normalise_github("push", encode(payload | {"ref": "refs/heads/feature"})) == []
        assert normalise_github("push", encode(payload | {"ref": "refs/tags/main"})) == []

    def test_a_push_by_a_deploy_key_has_no_sender(self) -> None:
        payload = about("", ref="refs/heads/main", before="b" * 40, after=HEAD)
        del payload["sender"]
        assert told("push", payload) == Pushed(TOOL, "main", "b" * 40, HEAD, "")

    @pytest.mark.parametrize("what", ["created", "archived", "unarchived", "deleted", "edited"])
    def test_a_repository_that_changed(self, what: Any) -> None:
        assert told("repository", about(what)) == RepositoryChanged(TOOL, what, "alice")

    def test_a_repository_that_is_called_otherwise(self) -> None:
        renamed = about("renamed", changes={"repository": {"name": {"from": "old"}}})
        assert told("repository", renamed) == RepositoryChanged(TOOL, "renamed", "alice", "acme/old")

    @pytest.mark.parametrize("kind", ["user", "organization"])
    def test_a_repository_that_has_another_owner(self, kind: str) -> None:
        moved = about("transferred", changes={"owner": {"from": {kind: {"login": "umbrella"}}}})
        assert told("repository", moved) == RepositoryChanged(TOOL, "transferred", "alice", "umbrella/tool")

    @pytest.mark.parametrize(
        ("action", "what"),
        [
            ("created", "created"),
            ("deleted", "deleted"),
            ("suspend", "suspended"),
            ("unsuspend", "unsuspended"),
            ("new_permissions_accepted", "permissions_accepted"),
        ],
    )
    def test_an_installation(self, action: str, what: str) -> None:
        event = told("installation", deliveries.installation(action, repositories=[{"name": "tool"}]))
        assert isinstance(event, InstallationChanged)
        assert (event.host, event.org, event.number, event.what, event.repositories) == ("local", "acme", 5, what, ("tool",))
        assert event.permissions == (("contents", "write"),)

    def test_repositories_that_the_bot_may_see_or_no_more(self) -> None:
        added = deliveries.installation("added", repositories_added=[{"name": "a"}], repositories_removed=[])
        gone = deliveries.installation("removed", repositories_added=[], repositories_removed=[{"name": "b"}])
        events = [told("installation_repositories", payload) for payload in (added, gone)]
        assert [(event.what, event.repositories) for event in events if isinstance(event, InstallationChanged)] == [
            ("repositories_added", ("a",)),
            ("repositories_removed", ("b",)),
        ]

    def test_a_ping(self) -> None:
        assert told("ping", {"zen": "Design for failure."}) == Ping()

    @pytest.mark.parametrize("event", ["star", "workflow_run", "issues", "installation", "repository", "pull_request"])
    def test_nothing_follows_from_the_rest(self, event: str) -> None:
        assert normalise_github(event, encode({"action": "starred"})) == []


class TestKeys:
    """The same act has the same key, in whichever delivery it is told."""

    def test_a_label_that_is_put_on_again_is_another_act(self) -> None:
        acts = [
            deliveries.labelled("x"),
            deliveries.labelled("x", at="2026-01-15T12:00:01Z"),
            deliveries.labelled("y"),
            deliveries.labelled("x", number=8),
        ]
        keys = [key(told("issues", act)) for act in acts]
        assert len({*keys}) == 4
        assert keys[0] == key(told("issues", deliveries.labelled("x") | {"added": "by another hook"}))

    def test_a_comment_is_known_by_its_number(self) -> None:
        first, again, second = (
            key(told("issue_comment", deliveries.commented(body, comment=number)))
            for body, number in (("a", 1), ("b", 1), ("a", 2))
        )
        assert first == again != second

    def test_each_fits_its_column(self) -> None:
        assert len(key(told("issues", deliveries.labelled("x" * 10_000)))) <= 300


def key(event: Event) -> str:
    assert isinstance(event, Labelled | Commented | Reviewed)
    return event.key


class TestMalformed:
    @pytest.mark.parametrize(
        ("event", "payload", "place"),
        [
            ("issue_comment", deliveries.commented("x") | {"comment": {"body": "x"}}, "comment.id"),
            ("issue_comment", deliveries.commented("x") | {"sender": None}, "sender"),
            ("issues", about("labeled", label={"name": "x"}), "issue"),
            ("repository", about("renamed", changes={}), "changes.repository.name.from"),
            ("installation", {"action": "created", "sender": user("alice")}, "installation"),
            ("push", {}, "ref"),
            ("pull_request", {}, "action"),
            ("check_suite", about("completed") | {"repository": {"name": "a/b"}}, "repository.name"),
        ],
    )
    def test_the_place_is_named(self, event: str, payload: dict[str, Any], place: str) -> None:
        with pytest.raises(HostError, match=rf"payload of {event} .*{place}"):
            normalise_github(event, encode(payload))

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'"action"'])
    def test_what_is_no_json_object(self, body: bytes) -> None:
        with pytest.raises(HostError, match="payload of issues is not as documented"):
            normalise_github("issues", body)

    @given(event=st.sampled_from(sorted(READERS)), spoilt=st.data())
    def test_whatever_is_in_it_is_told_or_refused_in_words(self, event: str, spoilt: st.DataObject) -> None:
        payload = WHOLE | {"action": spoilt.draw(st.sampled_from(ACTIONS))}
        for name in spoilt.draw(st.sets(st.sampled_from(sorted(payload)), max_size=2)):
            payload[name] = spoilt.draw(JSON_VALUES)
        with suppress(HostError):  # nothing else is raised
            assert len(normalise_github(event, encode(payload))) <= 1


ACTIONS = ("labeled", "created", "closed", "renamed", "transferred", "deleted", "submitted", "added", "suspend", "completed")
WHOLE: dict[str, Any] = {
    **deliveries.pull_request("closed"),
    **deliveries.commented("x"),
    **deliveries.installation("created"),
    "label": {"name": "x"},
    "review": {"id": 1, "state": "approved", "body": ""},
    "check_suite": {"head_sha": HEAD},
    "ref": "refs/heads/main",
    "before": HEAD,
    "after": HEAD,
    "changes": {"repository": {"name": {"from": "old"}}},
}
"""Everything that one of the events needs."""
