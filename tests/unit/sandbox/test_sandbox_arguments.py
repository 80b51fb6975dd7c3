from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.policies import Limits
from bot.errors import SandboxError
from bot.ports import SandboxCommand
from bot.sandbox.arguments import Bwrap, find_bwrap, options

NEW = Bwrap(Path("/usr/bin/bwrap"), "0.11.0", disables_userns=True)
COMMAND = SandboxCommand(["true"], Path("/place/workspace"), Path("/place/home"), Limits())


def words(command: SandboxCommand = COMMAND, bwrap: Bwrap = NEW) -> str:
    return " ".join(options(command, bwrap, seen=Path.absolute, passwd=10, group=11, empty=12, seccomp=13, status=14))


def fake_bwrap(path: Path, usage: str) -> Path:
    path.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 0.8.0 || echo '{usage}'\n")
    path.chmod(0o755)
    return path


USAGE = "options: --args FD --size BYTES --json-status-fd FD --ro-bind-data FD DEST"


def test_user_namespaces_are_disabled_where_bubblewrap_can() -> None:
    assert " --disable-userns " in words()
    assert " --disable-userns " not in words(bwrap=replace(NEW, disables_userns=False))


@pytest.mark.parametrize(("memory_mb", "tmp", "shm"), [(4096, 512, 64), (400, 100, 50)])
def test_temporary_folders_are_a_part_of_the_memory(memory_mb: int, tmp: int, shm: int) -> None:
    said = words(replace(COMMAND, limits=Limits(memory_mb=memory_mb)))
    assert f"--size {tmp << 20} --tmpfs /tmp" in said
    assert f"--size {shm << 20} --tmpfs /dev/shm" in said


def test_the_caller_may_set_a_variable_that_has_a_default() -> None:
    assert " --setenv PATH /opt/bin" in words(replace(COMMAND, environment={"PATH": "/opt/bin"}))


@pytest.mark.parametrize("environment", [{"A=B": "x"}, {"": "x"}, {"A\0--bind": "x"}, {"A": "x\0--bind\0/\0/host"}])
def test_an_environment_that_would_add_options_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SandboxError, match="environment variable"):
        words(replace(COMMAND, environment=environment))


def test_the_first_bubblewrap_that_can_do_it_is_taken(tmp_path: Path) -> None:
    old = fake_bwrap(tmp_path / "old", USAGE.replace("--size BYTES ", ""))
    new = fake_bwrap(tmp_path / "new", f"{USAGE} --disable-userns")
    assert find_bwrap([tmp_path / "missing", old, new]) == Bwrap(new, "0.8.0", disables_userns=True)


def test_why_each_bubblewrap_was_passed_over_is_told(tmp_path: Path) -> None:
    old = fake_bwrap(tmp_path / "old", USAGE.replace("--size BYTES ", ""))
    with pytest.raises(SandboxError) as caught:
        find_bwrap([tmp_path / "missing", old])
    assert "missing does not start" in str(caught.value)
    assert "old (bubblewrap 0.8.0) is too old: it has no --size" in str(caught.value)
    assert "apt-get install bubblewrap" in caught.value.mend
