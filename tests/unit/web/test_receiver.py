"""The web application as hosts and strangers meet it: what is answered with which status, and what is stored of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from bot.config import Settings
from bot.queue.server import redis_server
from bot.store.schema import deliveries as table
from bot.web.app import create_app
from bot.web.webhooks import FORM, LARGEST_DELIVERY
from tests.fakes import deliveries
from tests.fakes.deliveries import encode
from tests.fakes.senders import SENDERS, Sender
from tests.fakes.world import World

BODY = encode(deliveries.commented("/whimbrel help"))
STRANGERS_HEADERS = sorted({name for sender in SENDERS.values() for name in sender.headers(BODY)} - {"Content-Type"})


class Endless(io.RawIOBase):
    """A body without an end, and how much of it was read."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        return len(buffer)


class Receiver:
    """The application of a home that has the sender's secrets."""

    def __init__(self, world: World, sender: Sender):
        sender.know(world.services.home)
        self.world, self.sender = world, sender
        self.settings = Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)})
        self.app = create_app(world.services, self.settings)
        self.client: FlaskClient = self.app.test_client()

    def post(self, body: bytes = BODY, headers: Mapping[str, str | None] | None = None, **changed: str | None) -> int:
        """Deliver it, with some headers changed or (None) missing; names have _ for -. Return the status."""
        given: dict[str, str | None] = {**(headers or self.sender.headers(body))}
        given |= {name.replace("_", "-"): value for name, value in changed.items()}
        present = {name: value for name, value in given.items() if value is not None}
        answer = self.client.post(f"/webhooks/{self.sender.kind}", data=body, headers=present)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return answer.status_code

    @property
    def stored(self) -> list[Any]:
        with self.world.database.reading() as tx:
            return list(tx.execute(select(table)))


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[request.param]


@pytest.fixture
def receiver(world: World, sender: Sender) -> Receiver:
    return Receiver(world, sender)


class TestDeliveries:
    """The same for every host."""

    def test_one_is_stored_as_it_came_and_answered(self, receiver: Receiver) -> None:
        sender = receiver.sender
        assert receiver.post(headers=sender.headers(BODY, delivery="72d3162e")) == 202
        [row] = receiver.stored
        assert (row.id, row.host, row.signers, row.event, row.body) == ("72d3162e", sender.kind, "local", sender.event, BODY)
        assert row.state == "received"

    def test_a_known_one_is_answered_and_makes_no_second_row(self, receiver: Receiver) -> None:
        assert [receiver.post(headers=receiver.sender.headers(BODY, delivery="a")) for _ in range(3)] == [202] * 3
        assert len(receiver.stored) == 1

    def test_the_same_body_under_another_id_is_another_delivery(self, receiver: Receiver) -> None:
        assert [receiver.post(), receiver.post()] == [202, 202]
        assert len(receiver.stored) == 2

    def test_the_secret_of_last_year_is_good_while_it_is_known(self, receiver: Receiver) -> None:
        sender = receiver.sender
        signed = sender.headers(BODY, secret=sender.old_secret)
        assert receiver.post(headers=signed) == 202
        sender.know(receiver.world.services.home, sender.secret)
        assert receiver.post(headers=signed) == 401

    def test_whose_secret_it_was_is_kept_with_it(self, receiver: Receiver) -> None:
        """So that a second server's secret opens nothing of the first one's."""
        sender, home = receiver.sender, receiver.world.services.home
        sender.know(home, sender.secret)
        sender.know(home, sender.old_secret, url="https://second.example.com")
        assert receiver.post(headers=sender.headers(BODY, secret=sender.old_secret)) == 202
        assert [row.signers for row in receiver.stored] == ["second.example.com"]

    def test_a_form_holds_the_same_payload(self, receiver: Receiver) -> None:
        assert receiver.post(urlencode({"payload": BODY.decode()}).encode(), Content_Type=FORM) == 202
        assert [row.body for row in receiver.stored] == [BODY]

    @pytest.mark.parametrize("form", [b"", b"payload", b"other=1", b"payload=", b"%ff\xff", b"a=1&" * 20])
    def test_a_form_without_it(self, receiver: Receiver, form: bytes) -> None:
        assert receiver.post(form, Content_Type=FORM) == 400

    def test_what_is_signed_is_stored_whatever_it_is(self, receiver: Receiver) -> None:
        """What is wrong in it is said when it is handled: to refuse it would only have it come again, or the hook disabled."""
        assert receiver.post(b"{no json") == 202
        event = "some_event_of_tomorrow" if receiver.sender.kind == "github" else "Event Of Tomorrow Hook"
        assert receiver.post(b"{}", receiver.sender.headers(b"{}", event)) == 202

    def test_one_that_is_just_small_enough(self, receiver: Receiver) -> None:
        assert receiver.post(bytes(LARGEST_DELIVERY)) == 202


class TestRefusals:
    """Nothing of them is stored."""

    @pytest.fixture(autouse=True)
    def _nothing_is_stored(self, receiver: Receiver) -> Iterator[None]:
        yield
        assert receiver.stored == []

    def test_a_forged_one(self, receiver: Receiver) -> None:
        for forged in (None, "", *receiver.sender.forged):
            assert receiver.post(**{receiver.sender.signature: forged}) == 401

    def test_a_truncated_one(self, receiver: Receiver) -> None:
        if receiver.sender.signature == "X-Gitlab-Token":
            return  # a token that is sent along says nothing of the body
        assert receiver.post(BODY[:-1], receiver.sender.headers(BODY)) == 401

    @pytest.mark.parametrize("kind", [None, "", "text/plain", "text/json", "multipart/form-data; boundary=x"])
    def test_another_content_type(self, receiver: Receiver, kind: str | None) -> None:
        assert receiver.post(Content_Type=kind) == 415

    @pytest.mark.parametrize("says_so", [True, False])
    def test_one_that_is_too_large_is_read_no_further(self, receiver: Receiver, says_so: bool) -> None:
        """Whether it tells its length, or comes in chunks without an end."""
        endless = Endless()
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        length = {"CONTENT_LENGTH": str(2 * LARGEST_DELIVERY)} if says_so else chunked
        answer = receiver.client.post(
            f"/webhooks/{receiver.sender.kind}",
            headers=receiver.sender.headers(b""),
            environ_overrides={"wsgi.input": endless, **length},
        )
        assert answer.status_code == 413
        assert endless.given <= (0 if says_so else LARGEST_DELIVERY + 1)

    @pytest.mark.parametrize("value", [None, "", "../../etc", "x" * 300])
    def test_one_without_its_name(self, receiver: Receiver, value: str | None) -> None:
        for name in receiver.sender.names:
            assert receiver.post(**{name: value}) == 400

    def test_another_method_and_another_host(self, receiver: Receiver) -> None:
        assert receiver.client.get(f"/webhooks/{receiver.sender.kind}").status_code == 405
        assert receiver.client.post("/webhooks/bitbucket", data=BODY).status_code == 404

    def test_before_there_is_a_secret(self, world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        receiver.sender.forget(world.services.home)
        with caplog.at_level(logging.ERROR):
            assert receiver.post() == 503
        assert f"there is no webhook secret for {'GitHub' if receiver.sender.kind == 'github' else 'GitLab'}" in caplog.text

    @given(
        headers=st.dictionaries(
            st.sampled_from(["Content-Type", *STRANGERS_HEADERS]),
            st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80),
            min_size=1,
        ),
        body=st.binary(max_size=100),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=70, deadline=None)
    def test_whatever_a_stranger_sends_is_his_mistake(
        self, receiver: Receiver, headers: dict[str, str | None], body: bytes
    ) -> None:
        assert receiver.post(body, **({receiver.sender.signature: "sha256=0"} | headers)) in (400, 401, 415)


class TestGitLab:
    """What is GitLab's alone."""

    @pytest.fixture(params=["gitlab"])
    def sender(self, request: pytest.FixtureRequest) -> Sender:
        return SENDERS[request.param]

    def test_it_is_told_again_under_the_id_that_it_had(self, receiver: Receiver) -> None:
        """Another delivery's id does not fit the signature: whoever has overheard one can send nothing but that one."""
        signed = receiver.sender.headers(BODY, delivery="a")
        assert [receiver.post(headers=signed), receiver.post(headers=signed)] == [202, 202]
        assert receiver.post(headers=signed, webhook_id="b") == 401
        assert receiver.post(headers=signed, Idempotency_Key="b") == 202
        assert [row.id for row in receiver.stored] == ["a"]

    @pytest.mark.parametrize(("seconds", "status"), [(0, 202), (299, 202), (-299, 202), (301, 401), (-301, 401)])
    def test_it_counts_for_five_minutes(
        self, receiver: Receiver, seconds: int, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        signed = receiver.sender.headers(BODY)
        receiver.world.clock.advance(seconds)
        with caplog.at_level(logging.WARNING):
            assert receiver.post(headers=signed) == status
        assert ("not within five minutes" in caplog.text) == (status == 401)

    def test_where_it_signs_a_token_alone_is_nothing(self, receiver: Receiver) -> None:
        token = {"X-Gitlab-Token": receiver.sender.secret, "Content-Type": "application/json", "X-Gitlab-Event": "Note Hook"}
        assert receiver.post(headers=token | {"Idempotency-Key": "a"}) == 401

    def test_an_event_of_an_old_server_is_known_by_its_request_and_its_body(self, receiver: Receiver) -> None:
        """One request of a person leads to several events."""
        old = SENDERS["gitlab-before-19"]
        old.know(receiver.world.services.home)
        for body in (b"{}", b"{}", b'{"another": 1}'):
            headers = old.headers(body) | {"Idempotency-Key": None, "X-Gitlab-Event-UUID": "72d3162e"}
            assert receiver.post(body, headers) == 202
        assert len(receiver.stored) == 2


def test_what_cannot_be_stored_is_not_accepted(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A 5xx: it is asked for again when the database is back."""
    with receiver.world.database.transaction() as tx:
        tx.execute(text("DROP TABLE deliveries"))
    with caplog.at_level(logging.ERROR):
        assert receiver.post() == 503
    assert "no such table" in caplog.text


@pytest.mark.parametrize("sender", ["github"], indirect=True)
class TestHealth:
    def test_all_is_well(self, receiver: Receiver) -> None:
        with redis_server(receiver.settings.home, None):
            answer = receiver.client.get("/health")
        assert (answer.status_code, answer.json) == (200, {"status": "ok", "database": True, "redis": True})

    def test_without_redis_deliveries_are_taken_all_the_same(self, receiver: Receiver) -> None:
        answer = receiver.client.get("/health")
        assert (answer.status_code, answer.json) == (200, {"status": "degraded", "database": True, "redis": False})

    def test_without_its_tables_it_is_down(self, receiver: Receiver) -> None:
        with receiver.world.database.transaction() as tx:
            tx.execute(text("DROP TABLE alembic_version"))
        answer = receiver.client.get("/health")
        assert (answer.status_code, answer.json) == (503, {"status": "down", "database": False, "redis": False})


@pytest.mark.parametrize("sender", ["github"], indirect=True)
class TestStrangers:
    """Until there is sign-in, this machine alone sees more than webhooks, the set-up and the health."""

    @pytest.fixture
    def client(self, receiver: Receiver) -> FlaskClient:
        receiver.app.add_url_rule("/private", "private", lambda: "for this machine")
        return receiver.app.test_client()

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080"])
    def test_this_machine(self, client: FlaskClient, host: str) -> None:
        answer = client.get("/private", headers={"Host": host})
        assert (answer.status_code, answer.text) == (200, "for this machine")

    @pytest.mark.parametrize(
        ("address", "headers"),
        [
            ("203.0.113.9", {}),
            ("", {}),
            ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}),
            ("127.0.0.1", {"Forwarded": "for=203.0.113.9"}),
            ("127.0.0.1", {"Via": "1.1 tunnel"}),
            ("127.0.0.1", {"Host": "rebound.example"}),
        ],
    )
    def test_anybody_else_also_behind_a_proxy_or_a_tunnel(
        self, client: FlaskClient, address: str, headers: dict[str, str]
    ) -> None:
        there = {"REMOTE_ADDR": address}
        assert client.get("/private", headers=headers, environ_base=there).status_code == 404
        assert client.get("/health", headers=headers, environ_base=there).status_code == 200
        assert client.post("/webhooks/gitlab", headers=headers, environ_base=there).status_code == 415
