"""Who signs deliveries: an instance, with a secret of its own. What it has signed may speak of that instance alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Signer:
    """`instance` is named as in `bot.domain.events`, such as github.com."""

    instance: str
    secret: str = field(repr=False)


def signers(url: str, secrets: Iterable[str]) -> list[Signer]:
    """The instance at `url`, once for each secret that is valid."""
    return [Signer(urlsplit(url).hostname or "", secret) for secret in secrets if secret]


def those(known: Sequence[Signer], signed: Sequence[bool]) -> frozenset[str]:
    """The instances of those who have signed; a secret that two of them share tells them not apart."""
    return frozenset(signer.instance for signer, has in zip(known, signed, strict=True) if has)
