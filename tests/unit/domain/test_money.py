from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.money import MOST, MicroUsd, decimal_usd, dollars, micro_usd, month_of

amounts = st.decimals(min_value=0, max_value=MOST, allow_nan=False, allow_infinity=False)


@given(amounts)
def test_rounds_up_to_the_next_micro_dollar_and_no_further(amount: Decimal) -> None:
    exact = Fraction(amount) * 1_000_000
    assert exact <= micro_usd(amount) < exact + 1


@pytest.mark.parametrize(
    ("said", "micro"),
    [
        ("0", 0),
        ("-0", 0),
        ("2.00", 2_000_000),
        ("0.000001", 1),
        ("0.0000000000000000000000000000000000001", 1),
        # More digits than a Decimal's context keeps: the last one still counts.
        ("999999999999.0000000000000000000000000000001", 999_999_999_999_000_001),
        (3, 3_000_000),
        (Decimal("1E+3"), 1_000_000_000),
    ],
)
def test_what_was_said_in_micro_dollars(said: Decimal | int | str, micro: int) -> None:
    assert micro_usd(said) == micro


@pytest.mark.parametrize("said", ["", "two", "1,000", "NaN", "sNaN", "Infinity", "-0.01", "1e13", "1e999999"])
def test_refuses_what_is_no_amount_and_names_it(said: str) -> None:
    with pytest.raises(ValueError, match=f"'{said}' is not an amount in US dollars"):
        micro_usd(said)


@given(st.integers(min_value=0, max_value=10**18))
def test_decimal_text_and_back(micro: int) -> None:
    assert micro_usd(decimal_usd(MicroUsd(micro))) == micro


@pytest.mark.parametrize(
    ("micro", "text"), [(0, "0.000000"), (1, "0.000001"), (1_500_000, "1.500000"), (-1_500_000, "-1.500000")]
)
def test_decimal_text_has_six_places(micro: int, text: str) -> None:
    assert decimal_usd(MicroUsd(micro)) == text


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (2_500, "$0.0025"),
        (9_999, "$0.009999"),
        (10_000, "$0.01"),
        (1_234_560_000, "$1,234.56"),
    ],
)
def test_dollars_for_people(micro: int, text: str) -> None:
    assert dollars(MicroUsd(micro)) == text


@given(st.integers(min_value=1, max_value=10**18))
def test_no_amount_looks_like_nothing(micro: int) -> None:
    assert set(dollars(MicroUsd(micro))) & set("123456789")


LAST_UTC_SECOND = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "timezone_name", "month"),
    [
        (LAST_UTC_SECOND, "UTC", "2026-03"),
        (LAST_UTC_SECOND + timedelta(seconds=1), "UTC", "2026-04"),
        # Berlin is two hours ahead in summer, Los Angeles seven behind.
        (datetime(2026, 3, 31, 21, 59, 59, tzinfo=UTC), "Europe/Berlin", "2026-03"),
        (datetime(2026, 3, 31, 22, tzinfo=UTC), "Europe/Berlin", "2026-04"),
        (datetime(2026, 4, 1, 6, 59, 59, tzinfo=UTC), "America/Los_Angeles", "2026-03"),
        (datetime(2026, 4, 1, 7, tzinfo=UTC), "America/Los_Angeles", "2026-04"),
        # One hour ahead in winter: the year turns in Berlin first.
        (datetime(2025, 12, 31, 23, tzinfo=UTC), "Europe/Berlin", "2026-01"),
        # The instant counts, not the zone that it is written in.
        (datetime(2026, 4, 1, 13, 59, tzinfo=timezone(timedelta(hours=14))), "UTC", "2026-03"),
    ],
)
def test_a_month_begins_at_midnight_of_the_orgs_own_time_zone(instant: datetime, timezone_name: str, month: str) -> None:
    assert month_of(instant, timezone_name) == month


def test_an_instant_without_a_time_zone_is_in_no_month() -> None:
    with pytest.raises(ValueError, match="needs its time zone"):
        month_of(datetime(2026, 1, 1), "UTC")  # noqa: DTZ001
