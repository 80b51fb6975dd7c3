"""Where a pull request is, as people write it."""

from __future__ import annotations

import pytest

from bot.domain.addresses import Address, parse_address
from bot.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://github.com/acme/tool/pull/12", Address("github.com", "acme/tool", 12)),
        (" https://github.com/acme/tool/pull/12/files#diff-1 ", Address("github.com", "acme/tool", 12)),
        ("https://ghe.example.com:8443/acme/tool/pull/3?w=1", Address("ghe.example.com", "acme/tool", 3)),
        ("https://gitlab.com/acme/platform/deep/lib/-/merge_requests/7", Address("gitlab.com", "acme/platform/deep/lib", 7)),
        ("file:///srv/mirrors/acme/a%20b/tool.meta/pulls/2.json", Address("local", "srv/mirrors/acme/a b/tool", 2)),
        ("acme/tool#12", Address("", "acme/tool", 12)),
        ("acme/platform/lib!7", Address("", "acme/platform/lib", 7)),
    ],
)
def test_it_is_found(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "12", "tool#12", "acme/tool", "https://github.com/acme/tool/issues/12", "https://github.com/acme/tool/pull/x"]
)
def test_anything_else_is_a_mistake_with_its_mend(text: str) -> None:
    with pytest.raises(UsageError, match="is no pull request") as refused:
        parse_address(text)
    assert refused.value.mend == "give its URL, or ORG/NAME#NUMBER"
