"""web: what hosts deliver to, and the page that sets the bot up on one."""

from __future__ import annotations

import click

from bot.config import Settings, assemble


@click.command(
    epilog="""\b
Example:
  whimbrel web --bind 0.0.0.0:8080"""
)
@click.option("--bind", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Where to listen; or unix:PATH.")
@click.option("--threads", default=16, show_default=True, type=click.IntRange(1, 256), help="Requests answered at once.")
def web(bind: str, threads: int) -> None:
    """Receive webhooks (/webhooks/github), set up an App (/setup/github), tell how it is (/health); until SIGTERM."""
    from bot.web.server import Server

    settings = Settings.from_environment()
    with assemble(settings):
        pass  # the database is made and current before the first delivery
    Server(settings, bind=bind, threads=threads).run()
