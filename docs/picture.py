"""Draws docs/demo.svg, the README's picture, from what `make demo` left: run it after a first one (`make picture`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bot.cli import tables

HERE = Path(__file__).parent
POLICY = "migrate-to-pyproject"


def ask(*arguments: str) -> Any:
    environment = {"PATH": "/usr/bin:/bin", "WHIMBREL_HOME": "demo/.whimbrel", "WHIMBREL_POLICIES": "demo/policies"}
    whimbrel = Path(sys.executable).with_name("whimbrel")
    return json.loads(subprocess.check_output([whimbrel, *arguments, "--json"], env=environment, text=True))


campaign = next(known for known in reversed(ask("status")) if known["policy"] == POLICY)
console = Console(record=True, width=112, file=Path("/dev/null").open("w"), highlight=False)  # noqa: SIM115 - one short script
console.print(tables.runs_table(ask("runs", campaign["id"])))
console.print(tables.status_panel(campaign))
console.print(tables.quota_table(ask("quota")))
console.save_svg(str(HERE / "demo.svg"), title=f"whimbrel run {POLICY} --org acme")
