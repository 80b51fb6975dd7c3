"""Processes that are looked at while they may end."""

from __future__ import annotations

import psutil


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has ended, or is about to."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """Of `whimbrel run` and `whimbrel worker`: the workers. Of a worker: what works on its job."""
    return [child for child in process.children() if "bot.worker" in words_of(child)]
