"""The web application as hosts and strangers meet it: what is answered with which status, and what is stored of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
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
from tests.fakes.deliveries import OLD_SECRET, encode, know_secrets
from tests.fakes.world import World

BODY = encode(deliveries.commented("/whimbrel help"))


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
    def __init__(self, world: World):
        self.world = world
        self.settings = Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)})
        self.app = create_app(world.services, self.settings)
        self.client: FlaskClient = self.app.test_client()

    def post(self, body: bytes = BODY, event: str = "issue_comment", **changed: str | None) -> int:
        """Deliver it, with some headers changed or (None) missing; names have _ for -. Return the status."""
        headers: dict[str, str | None] = {**deliveries.headers(body, event)}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        present = {name: value for name, value in headers.items() if value is not None}
        answer = self.client.post("/webhooks/github", data=body, headers=present)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return answer.status_code

    @property
    def stored(self) -> list[Any]:
        with self.world.database.reading() as tx:
            return list(tx.execute(select(table)))


@pytest.fixture
def receiver(world: World) -> Receiver:
    know_secrets(world.services.home)
    return Receiver(world)


class TestDeliveries:
    def test_one_is_stored_as_it_came_and_answered(self, receiver: Receiver) -> None:
        assert receiver.post(X_GitHub_Delivery="72d3162e") == 202
        [row] = receiver.stored
        assert (row.id, row.host, row.signers, row.event, row.body) == ("72d3162e", "github", "local", "issue_comment", BODY)
        assert row.state == "received"

    def test_a_known_one_is_answered_and_makes_no_second_row(self, receiver: Receiver) -> None:
        assert [receiver.post(X_GitHub_Delivery="a") for _ in range(3)] == [202] * 3
        assert len(receiver.stored) == 1

    def test_the_same_body_under_another_id_is_another_delivery(self, receiver: Receiver) -> None:
        assert [receiver.post(), receiver.post()] == [202, 202]
        assert len(receiver.stored) == 2

    def test_the_secret_of_last_year_is_good_while_it_is_known(self, receiver: Receiver) -> None:
        signed = deliveries.headers(BODY, "ping", secret=OLD_SECRET)["X-Hub-Signature-256"]
        assert receiver.post(X_Hub_Signature_256=signed) == 202
        know_secrets(receiver.world.services.home, deliveries.SECRET)
        assert receiver.post(X_Hub_Signature_256=signed) == 401

    def test_whose_secret_it_was_is_kept_with_it(self, receiver: Receiver) -> None:
        """So that a second server's secret opens nothing of the first one's."""
        know_secrets(receiver.world.services.home, "theirs", url="https://ghes.example.com")
        signed = deliveries.headers(BODY, "ping", secret="theirs")["X-Hub-Signature-256"]
        assert receiver.post(X_Hub_Signature_256=signed) == 202
        assert [row.signers for row in receiver.stored] == ["ghes.example.com"]

    def test_a_form_holds_the_same_payload(self, receiver: Receiver) -> None:
        assert receiver.post(urlencode({"payload": BODY.decode()}).encode(), Content_Type=FORM) == 202
        assert [row.body for row in receiver.stored] == [BODY]

    @pytest.mark.parametrize("form", [b"", b"payload", b"other=1", b"payload=", b"%ff\xff", b"a=1&" * 20])
    def test_a_form_without_it(self, receiver: Receiver, form: bytes) -> None:
        assert receiver.post(form, Content_Type=FORM) == 400

    def test_what_is_signed_is_stored_whatever_it_is(self, receiver: Receiver) -> None:
        """What is wrong in it is said when it is handled: to refuse it would only have it come again."""
        assert receiver.post(b"{no json", event="some_event_of_tomorrow") == 202

    def test_one_that_is_just_small_enough(self, receiver: Receiver) -> None:
        assert receiver.post(bytes(LARGEST_DELIVERY)) == 202


class TestRefusals:
    """Nothing of them is stored."""

    @pytest.fixture(autouse=True)
    def _nothing_is_stored(self, receiver: Receiver) -> Iterator[None]:
        yield
        assert receiver.stored == []

    @pytest.mark.parametrize("signature", [None, "", "sha256=" + "0" * 64, "sha256=é", "sha1=x"])
    def test_a_forged_one(self, receiver: Receiver, signature: str | None) -> None:
        assert receiver.post(X_Hub_Signature_256=signature) == 401

    def test_a_truncated_one(self, receiver: Receiver) -> None:
        whole = deliveries.headers(BODY, "issue_comment")["X-Hub-Signature-256"]
        assert receiver.post(BODY[:-1], X_Hub_Signature_256=whole) == 401

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
            "/webhooks/github", headers=deliveries.headers(b"", "ping"), environ_overrides={"wsgi.input": endless, **length}
        )
        assert answer.status_code == 413
        assert endless.given <= (0 if says_so else LARGEST_DELIVERY + 1)

    @pytest.mark.parametrize("name", ["X_GitHub_Delivery", "X_GitHub_Event"])
    @pytest.mark.parametrize("value", [None, "", "../../etc", "x" * 300])
    def test_one_without_its_name(self, receiver: Receiver, name: str, value: str | None) -> None:
        assert receiver.post(**{name: value}) == 400

    def test_another_method_and_another_host(self, receiver: Receiver) -> None:
        assert receiver.client.get("/webhooks/github").status_code == 405
        assert receiver.client.post("/webhooks/bitbucket", data=BODY).status_code == 404

    def test_before_there_is_a_secret(self, world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        (world.services.home / "github" / "local" / "app.json").unlink()
        with caplog.at_level(logging.ERROR):
            assert receiver.post() == 503
        assert "there is no webhook secret for GitHub" in caplog.text

    @given(
        headers=st.dictionaries(
            st.sampled_from(["Content_Type", "X_GitHub_Delivery", "X_GitHub_Event", "X_Hub_Signature_256"]),
            st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80),
            min_size=1,
        ),
        body=st.binary(max_size=100),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
    def test_whatever_a_stranger_sends_is_his_mistake(
        self, receiver: Receiver, headers: dict[str, str | None], body: bytes
    ) -> None:
        forged = {"X_Hub_Signature_256": "sha256=0"} | headers
        assert receiver.post(body, **forged) in (400, 401, 415)


def test_what_cannot_be_stored_is_not_accepted(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A 5xx: it is asked for again when the database is back."""
    with receiver.world.database.transaction() as tx:
        tx.execute(text("DROP TABLE deliveries"))
    with caplog.at_level(logging.ERROR):
        assert receiver.post() == 503
    assert "no such table" in caplog.text


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
        assert client.post("/webhooks/github", headers=headers, environ_base=there).status_code == 415
