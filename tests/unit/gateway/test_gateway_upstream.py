from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from bot.gateway.upstream import LONGEST_RETRY_AFTER, is_outage, retry_after


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("30", 30),
        (" 1.5 ", 1.5),
        ("0", 0),
        ("-5", 0),
        ("nan", 0),
        ("inf", LONGEST_RETRY_AFTER),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        ("soon", 0),
        ("", 0),
    ],
)
def test_retry_after_is_read_in_every_form(said: str, seconds: float) -> None:
    assert retry_after(httpx.Response(429, headers={"retry-after": said})) == seconds


def test_a_date_is_so_many_seconds_away() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    assert 900 < retry_after(httpx.Response(503, headers={"retry-after": date})) <= 1000


def test_where_the_api_does_not_say() -> None:
    assert retry_after(httpx.Response(529)) == 0


def test_what_counts_as_an_outage() -> None:
    statuses = (200, 307, 400, 401, 403, 404, 413, 429, 500, 502, 503, 529)
    assert [status for status in statuses if is_outage(httpx.Response(status))] == [429, 500, 502, 503, 529]
