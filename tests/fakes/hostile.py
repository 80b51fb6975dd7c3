"""Repositories and trees that try to get something run on the host side, each try touching a canary file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.fakes.repositories import Executable, Files

ATTRIBUTES = b"* text=auto eol=crlf ident filter=evil diff=evil merge=evil working-tree-encoding=UTF-16\n*.lfs filter=lfs\n"


def files(canary: Path) -> Files:
    """What a repository can hold that some git would run, or change bytes by."""
    touch = f"#!/bin/sh\ntouch {canary}\n".encode()
    submodule = f'[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch {canary}"\n\tupdate = !touch {canary}\n'
    return {
        ".gitattributes": ATTRIBUTES,
        ".gitmodules": submodule.encode(),
        ".githooks/pre-commit": Executable(touch),
        "hooks/post-checkout": Executable(touch),
        "hooks/pre-push": Executable(touch),
        "config": configuration(canary).encode(),
        "lf.txt": b"one\ntwo\n$Id$\n",
        "crlf.txt": b"one\r\ntwo\r\n$Id: 123 $\r\n",
        "mixed.txt": b"one\ntwo\r\nthree",
        "image.lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        "latin1.txt": b"caf\xe9\n",
        "binary": bytes(range(256)),
        "empty": b"",
    }


def configuration(canary: Path) -> str:
    """A git configuration that runs something at nearly every turn."""
    return (
        f"[core]\n\tfsmonitor = touch {canary}\n\thooksPath = .githooks\n\tsshCommand = touch {canary}\n"
        f'[filter "evil"]\n\tclean = touch {canary}; cat\n\tsmudge = touch {canary}; cat\n\trequired = true\n'
        f'[diff "evil"]\n\tcommand = touch {canary}\n\ttextconv = touch {canary}\n[merge "evil"]\n\tdriver = touch {canary}\n'
        f"[credential]\n\thelper = !touch {canary}\n[gpg]\n\tprogram = touch {canary}\n[commit]\n\tgpgSign = true\n"
        f"[uploadpack]\n\tpackObjectsHook = touch {canary}\n"
    )


def plant_hooks(repository: Path, canary: Path) -> None:
    """Hooks that the git of a push, or of a fetch, would run in a repository."""
    (repository / "hooks").mkdir(exist_ok=True)
    for name in (
        "pre-receive",
        "update",
        "post-receive",
        "post-update",
        "reference-transaction",
        "pre-auto-gc",
        "proc-receive",
    ):
        hook = repository / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)


def nested_repository(folder: Path, canary: Path) -> None:
    """A repository inside a tree, as an agent can make one, with all of `configuration`."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet", folder], check=True, env=environment)
    with (folder / ".git" / "config").open("a") as config:
        config.write(configuration(canary))
    plant_hooks(folder / ".git", canary)
