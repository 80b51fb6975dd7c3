"""audit verify, audit export."""

from __future__ import annotations

import json

import click

from bot.cli.common import as_json, print_json
from bot.config import Settings, assemble
from bot.domain.redaction import escaped
from bot.errors import UsageError
from bot.store import audit as store_audit
from bot.store.audit import Head


@click.group()
def audit() -> None:
    """The audit trail: one hash chain an org, append-only."""


@audit.command(
    epilog="""\b
Examples:
  whimbrel audit verify
  whimbrel audit verify --org acme --head 128:9f86d081...   (a head that was printed earlier)"""
)
@click.option("--org", help="Only this org's chain.")
@click.option("--head", "known", metavar="SEQ:MAC", help="A head of the chain from earlier: finds a tail that was cut since.")
@as_json
def verify(org: str | None, known: str | None, as_json: bool) -> int:
    """Walk every chain from its start: altered, dropped and reordered events are found. Exit 1 when one is."""
    head = _parse(known)
    if head is not None and org is None:
        raise UsageError("--head is one org's", mend="say which with --org")
    with assemble(Settings.from_environment()) as services, services.database.reading() as tx:
        found = [
            (name, store_audit.verify(tx, services.audit_key, name, known=head), store_audit.head(tx, name))
            for name in ([org] if org else store_audit.orgs(tx))
        ]
    if as_json:
        print_json([
            {"org": name, "holds": broken is None, "problem": broken.problem if broken else None, "head": str(end)}
            for name, broken, end in found
        ])  # fmt: skip
    else:
        for name, broken, end in found:
            click.echo(f"{name}: {broken.problem}" if broken else f"{name}: holds, {end.seq} events, head {end}")
    return 1 if any(broken for _, broken, _ in found) else 0


@audit.command()
@click.option("--org", help="Only this org's events.")
def export(org: str | None) -> None:
    """Every event, one JSON object a line, oldest first."""
    with assemble(Settings.from_environment()) as services, services.database.reading() as tx:
        for name in [org] if org else store_audit.orgs(tx):
            for event in store_audit.events(tx, name):
                click.echo(escaped(json.dumps(event, ensure_ascii=False, sort_keys=True)))


def _parse(known: str | None) -> Head | None:
    if known is None:
        return None
    seq, _, mac = known.partition(":")
    if not seq.isdigit() or len(mac) != len(store_audit.GENESIS):
        raise UsageError(f"--head {known!r} is no head", mend="it is what `whimbrel audit verify` prints: SEQ:MAC")
    return Head(int(seq), mac)
