"""Alembic's entry: runs the migrations on the engine that `bot.store.database` hands over."""

from typing import Any, Literal

from alembic import context

from bot.store.schema import Instant, metadata


def render_item(kind: str, value: Any, _context: Any) -> str | Literal[False]:
    """A migration never imports today's code: our own column type is written as what it is in the database."""
    return "sa.DateTime()" if kind == "type" and isinstance(value, Instant) else False


with context.config.attributes["engine"].begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_item=render_item)
    with context.begin_transaction():
        context.run_migrations()
