"""The tokens that the bot acts by, as hosts tell of them: whose, and until when. No token is here."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection, select

from bot.domain.hooks import TokenState
from bot.store.database import upsert
from bot.store.schema import effects

_KEY = "token:"


def remember(tx: Connection, org: str, host: str, token: TokenState, now: datetime) -> None:
    """What is known of an org's token on a host, in the place of what was known before."""
    ends = token.expires_at and token.expires_at.isoformat()
    told = {"host": host, "name": token.name, "login": token.login, "expires_at": ends}
    row = {"org": org, "key": f"{_KEY}{host}"[:300], "state": "known", "result": json.dumps(told), "at": now}
    fresh = upsert(tx, effects).values(row)
    tx.execute(fresh.on_conflict_do_update(index_elements=["org", "key"], set_={name: row[name] for name in ("result", "at")}))


def known(tx: Connection) -> dict[tuple[str, str], TokenState]:
    """By org and host."""
    found = tx.execute(select(effects).where(effects.c.key.startswith(_KEY, autoescape=True)).order_by(effects.c.org))
    told = [(row.org, json.loads(row.result)) for row in found]
    return {(org, each["host"]): TokenState(each["name"], each["login"], _instant(each["expires_at"])) for org, each in told}


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
