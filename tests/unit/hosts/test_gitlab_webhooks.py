"""GitLab's webhooks, told genuine and told in our words."""

from __future__ import annotations

import secrets
from base64 import b64encode
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    IssueEdited,
    Labelled,
    PullRequestChanged,
    Pushed,
    RepositoryChanged,
    RepositoryRef,
)
from bot.domain.pull_requests import CommentRef, Thread
from bot.errors import ConfigurationError, HostError, UsageError
from bot.hosts.gitlab_events import READERS, normalise_gitlab
from bot.hosts.signers import Signer
from bot.hosts.webhooks import gitlab_delivery, sign_gitlab, verify_gitlab
from tests.fakes.clock import START
from tests.fakes.deliveries import JSON_VALUES, encode
from tests.fakes.gitlab_payloads import Payload, about, labels, note, thing
from tests.fakes.senders import GitLabSigned, GitLabToken

TOOL = RepositoryRef("local", "acme", "tool")
HEAD = "a" * 40
SIGNED, TOKEN = GitLabSigned(), GitLabToken()
AT = str(int(START.timestamp()))


def by(*secrets_known: str) -> list[Signer]:
    return [Signer("local", secret) for secret in secrets_known]


class TestSignatures:
    def test_the_example_of_standard_webhooks(self) -> None:
        body = b'{"test": 2432232314}'
        signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        token, name, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
        assert sign_gitlab(token, name, at, body) == signature

    @given(body=st.text(max_size=200), name=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
    def test_what_the_reference_signs_is_genuine(self, body: str, name: str) -> None:
        token = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        given_headers = {
            "webhook-id": name,
            "webhook-timestamp": AT,
            "webhook-signature": Webhook(token).sign(name, START, body),
        }
        assert verify_gitlab(by(SIGNED.secret, token), body.encode(), given_headers, START) == {"local"}
        assert not verify_gitlab(by(SIGNED.secret), body.encode(), given_headers, START)

    @given(body=st.binary(max_size=200), flipped=st.integers(min_value=0))
    def test_one_bit_is_enough(self, body: bytes, flipped: int) -> None:
        good = SIGNED.headers(body)
        forged = bytearray(body or b"x")
        forged[flipped % len(forged)] ^= 1 << flipped % 8
        assert verify_gitlab(by(SIGNED.secret), body, good, START)
        assert not verify_gitlab(by(SIGNED.secret), bytes(forged), good, START)

    def test_one_of_several_signatures_is_enough(self) -> None:
        good = SIGNED.headers(b"{}")
        for several in ("v1,AAAA {}", "{} v1,AAAA", "v1a,x {} v2,y"):
            given_headers = good | {"webhook-signature": several.format(good["webhook-signature"])}
            assert verify_gitlab(by(SIGNED.secret), b"{}", given_headers, START) == {"local"}
        assert not verify_gitlab(by(SIGNED.secret), b"{}", good | {"webhook-signature": "v1,AAAA v1,BBBB"}, START)

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_each_part_is_needed(self, header: str) -> None:
        good = SIGNED.headers(b"{}")
        for value in ("", "x", "²", "9" * 40):
            assert not verify_gitlab(by(SIGNED.secret), b"{}", good | {header: value}, START)
        assert not verify_gitlab(by(SIGNED.secret), b"{}", {name: good[name] for name in good if name != header}, START)

    @pytest.mark.parametrize(("minutes", "genuine"), [(4.9, True), (-4.9, True), (5.1, False), (-5.1, False)])
    def test_a_stale_one_is_not_genuine_however_well_signed(self, minutes: float, genuine: bool) -> None:
        told = verify_gitlab(by(SIGNED.secret), b"{}", SIGNED.headers(b"{}"), START + timedelta(minutes=minutes))
        assert bool(told) == genuine

    def test_a_secret_token_is_compared_as_it_is(self) -> None:
        assert verify_gitlab(by(TOKEN.old_secret, TOKEN.secret), b"{}", TOKEN.headers(b"{}"), START) == {"local"}
        assert not verify_gitlab(by(TOKEN.old_secret), b"{}", TOKEN.headers(b"{}"), START)
        assert not verify_gitlab(by(TOKEN.secret), b"{}", {}, START)

    def test_a_signing_token_that_is_sent_along_is_no_secret_token(self) -> None:
        assert not verify_gitlab(by(SIGNED.secret), b"{}", {"X-Gitlab-Token": SIGNED.secret}, START)

    def test_while_a_server_learns_to_sign_either_is_good(self) -> None:
        known = by(SIGNED.secret, TOKEN.secret)
        assert verify_gitlab(known, b"{}", SIGNED.headers(b"{}"), START)
        assert verify_gitlab(known, b"{}", TOKEN.headers(b"{}"), START)

    def test_without_a_secret_nothing_is_genuine(self) -> None:
        with pytest.raises(ConfigurationError, match="no webhook secret for GitLab"):
            verify_gitlab([], b"{}", {"X-Gitlab-Token": ""}, START)

    def test_a_token_that_can_sign_nothing_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="Base64") as caught:
            verify_gitlab(by("whsec_ä!"), b"{}", SIGNED.headers(b"{}"), START)
        assert "ä!" not in caught.value.explanation


class TestNames:
    def test_the_id_that_is_signed_comes_first(self) -> None:
        headers = SIGNED.headers(b"{}", "Issue Hook", delivery="a") | {"Idempotency-Key": "b", "X-Gitlab-Event-UUID": "c"}
        named = gitlab_delivery(headers, b"{}")
        assert (named.id, named.event) == ("a", "Issue Hook")
        del headers["webhook-id"]
        assert gitlab_delivery(headers, b"{}").id == "b"

    def test_the_id_of_a_request_is_not_yet_one_of_a_delivery(self) -> None:
        headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "c"}
        first, again, other = (gitlab_delivery(headers, body).id for body in (b"1", b"1", b"2"))
        assert first == again != other
        assert len(first) <= 200

    @pytest.mark.parametrize("value", ["", "a b", "a\n", "x" * 201, "ü"])
    def test_what_is_no_name_is_refused(self, value: str) -> None:
        with pytest.raises(UsageError, match=r"webhook-id|X-Gitlab-Event-UUID"):
            gitlab_delivery({"X-Gitlab-Event": "Push Hook", "webhook-id": value}, b"{}")
        with pytest.raises(UsageError, match="X-Gitlab-Event"):
            gitlab_delivery({"X-Gitlab-Event": value.replace("a b", "a_b"), "webhook-id": "a"}, b"{}")


def told(payload: Payload) -> list[Event]:
    return normalise_gitlab("Some Hook", encode(payload))


def test_the_text_of_an_issue_that_was_changed() -> None:
    text = {"description": {"previous": None, "current": "- [x] go"}}
    edited = thing("issue", "update") | {"changes": text}
    assert told(edited) == [IssueEdited(TOOL, 7, "", "- [x] go", "alice", actor_is_bot=False, at="2026-01-15 12:00:00 UTC")]
    assert told(thing("issue", "open") | {"changes": text}) == []


class TestLabels:
    def test_each_that_is_put_on_or_taken_off_is_an_event(self) -> None:
        events = told(thing("issue", "update", before=["kept", "old"], now=["kept", "whimbrel:x"]))
        assert events == [
            Labelled(TOOL, 7, "old", "alice", False, "issue", True, "2026-01-15 12:00:00 UTC"),
            Labelled(TOOL, 7, "whimbrel:x", "alice", False, "issue", False, "2026-01-15 12:00:00 UTC"),
        ]

    def test_those_that_it_was_opened_with_too(self) -> None:
        [event] = told(thing("issue", "open", now=["whimbrel:x"]))
        assert isinstance(event, Labelled)
        assert (event.label, event.removed) == ("whimbrel:x", False)

    @pytest.mark.parametrize("action", ["close", "reopen", None])
    def test_labels_that_stayed_are_none(self, action: str) -> None:
        assert told(thing("issue", action, now=["whimbrel:x"])) == []

    def test_of_a_merge_request(self) -> None:
        events = told(thing("merge_request", "update", number=3, now=["x"], last_commit={"id": HEAD}))
        assert events == [
            Labelled(TOOL, 3, "x", "alice", False, "pull_request", False, "2026-01-15 12:00:00 UTC"),
            PullRequestChanged(TOOL, 3, "edited", HEAD, "alice"),
        ]

    def test_the_same_number_of_the_other_kind_is_another_act(self) -> None:
        events = [*told(thing("issue", "open", now=["x"])), *told(thing("merge_request", "open", now=["x"]))]
        assert len({event.key for event in events if isinstance(event, Labelled)}) == 2


class TestComments:
    def test_on_an_issue_and_on_a_merge_request(self) -> None:
        assert told(note("/whimbrel help")) == [
            Commented(TOOL, CommentRef(Thread(7, "issue"), 12), "/whimbrel help", "alice", False)
        ]
        assert told(note("hi", on="merge_request", number=3)) == [
            Commented(TOOL, CommentRef(Thread(3, "pull_request"), 12), "hi", "alice", False)
        ]

    @pytest.mark.parametrize("on", ["commit", "snippet"])
    def test_elsewhere_nobody_is_answered(self, on: str) -> None:
        assert told(note("/whimbrel help", on=on)) == []

    def test_what_gitlab_notes_itself_is_nobodys(self) -> None:
        assert told(note("changed the label", system=True)) == []

    @pytest.mark.parametrize("action", ["update", None])
    def test_an_edited_one_is_none_nor_one_that_a_test_sends(self, action: str | None) -> None:
        assert told(note("/whimbrel help", action=action)) == []

    def test_before_16_11_it_does_not_say_what_was_done(self) -> None:
        payload = note("/whimbrel help")
        del payload["object_attributes"]["action"]
        assert len(told(payload)) == 1

    @pytest.mark.parametrize(
        ("name", "bot"),
        [
            ("project_12_bot", True),
            ("project_12_bot1", True),
            ("group_7_bot_1a2b3c", True),
            ("service_account_group_7_1a2b3c", True),
            ("alert-bot", True),
            ("alice", False),
            ("bot", False),
            ("project_x_bot", False),
            ("robot_12_bot", False),
        ],
    )
    def test_users_that_gitlab_makes_are_bots(self, name: str, bot: bool) -> None:
        [event] = told(note("/whimbrel help", actor=name))
        assert isinstance(event, Commented)
        assert event.actor_is_bot == bot


class TestMergeRequests:
    @pytest.mark.parametrize(
        ("action", "what"),
        [
            ("open", "opened"),
            ("close", "closed"),
            ("merge", "merged"),
            ("reopen", "reopened"),
            ("update", "edited"),
            ("approved", "reviewed"),
            ("approval", "reviewed"),
            ("unapproved", "reviewed"),
            ("unapproval", "reviewed"),
        ],
    )
    def test_one_that_changed(self, action: str, what: Any) -> None:
        payload = thing("merge_request", action, number=3, last_commit={"id": HEAD})
        assert told(payload) == [PullRequestChanged(TOOL, 3, what, HEAD, "alice")]

    def test_one_that_was_pushed_to(self) -> None:
        payload = thing("merge_request", "update", number=3, last_commit={"id": HEAD}, oldrev="b" * 40)
        assert told(payload) == [PullRequestChanged(TOOL, 3, "synchronized", HEAD, "alice")]

    @pytest.mark.parametrize("action", ["of tomorrow", None])
    def test_nothing_follows_the_rest(self, action: str) -> None:
        assert told(thing("merge_request", action)) == []

    def test_one_without_a_commit(self) -> None:
        assert told(thing("merge_request", "close", last_commit=None)) == [PullRequestChanged(TOOL, 7, "closed", "", "alice")]


class TestTheRest:
    @pytest.mark.parametrize(
        ("status", "conclusion"),
        [("success", "success"), ("failed", "failed"), ("canceled", "canceled"), ("running", ""), ("pending", "")],
    )
    def test_what_ci_says(self, status: str, conclusion: str) -> None:
        payload = about("pipeline", object_attributes={"sha": HEAD, "status": status})
        assert told(payload) == [ChecksChanged(TOOL, HEAD, conclusion)]

    def test_a_push_to_the_default_branch_alone(self) -> None:
        payload = about("push", ref="refs/heads/main", before="b" * 40, after=HEAD, user_username="mia")
        del payload["user"]
        assert told(payload) == [Pushed(TOOL, "main", "b" * 40, HEAD, "mia")]
        assert told(payload | {"ref": "refs/heads/feature"}) == []

    @pytest.mark.parametrize(
        ("name", "what"), [("project_create", "created"), ("project_destroy", "deleted"), ("project_update", "edited")]
    )
    def test_a_project_that_changed(self, name: str, what: Any) -> None:
        """It names no host: whoever has signed it is that."""
        [event] = told({"event_name": name, "path_with_namespace": "acme/platform/tool", "project_id": 1})
        assert event == RepositoryChanged(RepositoryRef("", "acme", "platform/tool"), what, "gitlab")

    @pytest.mark.parametrize(("name", "what"), [("project_rename", "renamed"), ("project_transfer", "transferred")])
    def test_a_project_that_is_elsewhere(self, name: str, what: Any) -> None:
        payload = {"event_name": name, "path_with_namespace": "acme/tool", "old_path_with_namespace": "acme/old"}
        assert told(payload) == [RepositoryChanged(RepositoryRef("", "acme", "tool"), what, "gitlab", "acme/old")]

    def test_a_project_of_a_subgroup(self) -> None:
        [event] = told(thing("issue", "open", now=["x"], path="acme/platform/deep/tool"))
        assert isinstance(event, Labelled)
        assert event.repository == RepositoryRef("local", "acme", "platform/deep/tool")

    @pytest.mark.parametrize(
        "payload",
        [
            {"event_name": "subgroup_create", "full_path": "acme/platform"},
            {"event_name": "user_add_to_group", "group_path": "acme"},
            {"object_kind": "wiki_page"},
            {"object_kind": "of_tomorrow"},
            {},
        ],
    )
    def test_nothing_follows_from(self, payload: Payload) -> None:
        assert told(payload) == []


class TestMalformed:
    @pytest.mark.parametrize(
        ("payload", "place"),
        [
            (thing("issue", "update") | {"user": None}, "user"),
            (thing("issue", "update") | {"project": {"path_with_namespace": "tool"}}, "project.path_with_namespace"),
            (about("note"), "object_attributes"),
            (about("pipeline", object_attributes={"status": "x"}), "object_attributes.sha"),
            ({"object_kind": "push"}, "ref"),
            ({"event_name": "project_create"}, "path_with_namespace"),
            (thing("issue", "open") | {"labels": [{}]}, "labels.0.title"),
            (thing("issue", "open", number=-1), "object_attributes.iid"),
        ],
    )
    def test_the_place_is_named(self, payload: Payload, place: str) -> None:
        with pytest.raises(HostError, match=rf"payload of Some Hook .*{place}"):
            told(payload)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'"issue"'])
    def test_what_is_no_json_object(self, body: bytes) -> None:
        with pytest.raises(HostError, match="payload of Note Hook is not as documented"):
            normalise_gitlab("Note Hook", body)

    @given(kind=st.sampled_from(sorted(READERS)), spoilt=st.data())
    def test_whatever_is_in_it_is_told_or_refused_in_words(self, kind: str, spoilt: st.DataObject) -> None:
        payload = WHOLE | {"object_kind": kind, "event_name": kind}
        for name in spoilt.draw(st.sets(st.sampled_from(sorted(payload)), max_size=2)):
            payload[name] = spoilt.draw(JSON_VALUES)
        with suppress(HostError):  # nothing else is raised
            normalise_gitlab("Some Hook", encode(payload))


WHOLE: Payload = {
    **thing("issue", "update", before=["x"]),
    "object_attributes": {
        "iid": 1, "id": 1, "action": "update", "note": "x", "noteable_type": "Issue", "sha": HEAD, "status": "success",
    },
    "issue": {"iid": 1},
    "labels": labels("x"),
    "ref": "refs/heads/main",
    "before": HEAD,
    "after": HEAD,
    "path_with_namespace": "acme/tool",
}  # fmt: skip
"""Everything that one of the events needs."""
