"""As root, a sandbox is an unprivileged user's to the host's kernel, wherever its folders lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bot.domain.policies import Limits
from bot.errors import SandboxError
from bot.git import write_file
from bot.pipeline.workspaces import workspace
from bot.ports import Mount, SandboxCommand, SandboxResult, Workspace
from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.sandbox.dropping import USER, drops, obstacle

sandbox = BubblewrapSandbox()


@pytest.fixture
def place() -> Iterator[Workspace]:
    """Below a folder that only this process's user can enter."""
    with TemporaryDirectory(dir=Path.home(), prefix="closed-") as closed, workspace(Path(closed) / "a", sandbox.user) as made:
        yield made


def run(place: Workspace, script: str, *mounts: Mount) -> tuple[SandboxResult, list[str]]:
    lines: list[bytes] = []
    command = SandboxCommand(["/bin/bash", "-c", script], place.tree, place.home, Limits(), mounts=mounts, timeout_seconds=60)
    return sandbox.run(command, on_line=lines.append), [line.decode() for line in lines]


def test_this_machine_shows_it() -> None:
    """The tests below hold for any user; they say the most where root runs them and may drop."""
    assert drops() == (os.geteuid() == 0 and obstacle() is None)
    assert sandbox.user == (USER if drops() else None)


def test_no_process_of_it_is_roots(place: Workspace) -> None:
    users: set[int] = set()

    def look() -> bool:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text, command = status.read_text(), (status.parent / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"not-roots-process" in command and b"bwrap" not in command and b"unshare" not in command:
                users.update(int(user) for line in text.splitlines() if line.startswith("Uid:") for user in line.split()[1:])
        return bool(users)

    argv = ["/bin/bash", "-c", "sleep 60; : not-roots-process"]
    sandbox.run(SandboxCommand(argv, place.tree, place.home, Limits(), timeout_seconds=60), cancelled=look)
    assert users == {USER if drops() else os.geteuid()}


def test_it_is_an_ordinary_user_inside_and_outside(place: Workspace) -> None:
    write_file(place.tree, "src/ours.txt", b"ours")
    result, lines = run(place, "id -u; echo theirs >> src/ours.txt; echo new > src/new; echo home > ~/x; cat src/ours.txt")
    assert (result.exit_status, lines) == (0, ["1000", "ourstheirs"]), result.tail
    owner = USER if drops() else os.geteuid()
    assert {path.stat().st_uid for path in [*place.tree.rglob("*"), place.home / "x"]} == {owner}


def test_its_standard_streams_can_be_opened_anew(place: Workspace) -> None:
    result, lines = run(place, "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin")
    assert (result.exit_status, lines, result.tail.strip()) == (0, ["out"], "err")


def test_what_is_roots_on_the_host_is_closed_to_it(place: Workspace) -> None:
    secret = place.scratch / "secret"
    secret.mkdir()
    (secret / "key").write_text("k")
    (secret / "key").chmod(0o600)
    secret.chmod(0o755)
    _, lines = run(place, "cat /opt/secret/key || echo closed", Mount(secret, "/opt/secret"))
    assert lines == (["closed"] if drops() else ["k"])


def test_a_mount_that_it_could_not_read_is_an_error_with_the_mend(place: Workspace) -> None:
    if not drops():
        return
    closed = place.scratch / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(SandboxError, match="is closed to the user") as refused:
        run(place, "true", Mount(closed, "/opt/closed"))
    assert refused.value.mend == f"chmod -R go+rX {closed}"
