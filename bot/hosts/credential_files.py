"""Where the home keeps what a host has given the bot: a folder an instance, files that nobody else may read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit


def instance_folder(home: Path, kind: str, url: str) -> Path:
    """HOME/KIND/NAME: the instance's host name, and its port where it has one of its own."""
    return home / kind / urlsplit(url).netloc.lower().replace(":", "_")


def write_secret(file: Path, text: str) -> None:
    """Whole or not at all; nobody else may read it at any moment. The folder is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with 0600
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
