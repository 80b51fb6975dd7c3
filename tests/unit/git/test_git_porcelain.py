from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.domain.repositories import Remote
from bot.errors import GitError
from bot.git import Signature, checkout, write_commit, write_file
from bot.git.collecting import collect
from bot.git.porcelain import Output, failure, git
from tests.fakes import hostile, repositories
from tests.fakes.checkouts import Origin


def test_git_sees_nothing_of_this_processs_environment(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GITHUB_TOKEN", "GIT_DIR", "GIT_TRACE", "GIT_CONFIG_COUNT", "-odd", "GIT_SSH_COMMAND"):
        monkeypatch.setenv(name, "a secret")
    output = git(["-c", "alias.tell=!env", "tell"], origin.bare, environment={"GIT_CONFIG_VALUE_0": "given"})
    seen = dict(line.split("=", 1) for line in output.stdout.decode().splitlines())
    assert "a secret" not in seen.values()
    assert seen["GIT_CONFIG_VALUE_0"] == "given"
    assert seen["GIT_TERMINAL_PROMPT"] == "0"
    assert seen["GIT_DIR"] == str(origin.bare)
    assert seen["HOME"] == "/nonexistent"


def test_what_a_remote_gives_is_in_no_argv(origin: Origin, tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ncat /proc/[0-9]*/cmdline >> {tmp_path}/seen\nexit 1\n")
    spy.chmod(0o755)
    environment = {"GIT_SSH": str(spy), "GIT_SSH_VARIANT": "simple", "TOKEN": "s3cret-of-one-process"}
    with pytest.raises(GitError) as caught:
        origin.mirror().fetch(Remote("ssh://nowhere/x", environment), ["main"])
    assert b"ssh://nowhere" in (tmp_path / "seen").read_bytes()
    assert b"s3cret-of-one-process" not in (tmp_path / "seen").read_bytes()
    assert "s3cret" not in str(caught.value)
    files = (file for file in origin.mirrors.rglob("*") if file.is_file())
    assert not any(b"s3cret" in file.read_bytes() for file in files)


def test_no_helper_of_the_operator_is_asked_for_a_credential(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(hostile.configuration(tmp_path / "canary"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_ASKPASS", f"touch {tmp_path / 'canary'}")
    origin.mirror().fetch(origin.remote, ["main"])
    assert git(["credential", "fill"], origin.bare, stdin=b"protocol=https\nhost=example.org\n\n").status != 0
    assert not (tmp_path / "canary").exists()


def test_nothing_of_a_hostile_repository_runs_from_fetch_to_push(origin: Origin, tmp_path: Path, when: Signature) -> None:
    canary = tmp_path / "canary"
    hostile.plant_hooks(origin.bare, canary)
    base = origin.commit(hostile.files(canary))
    mirror = origin.mirror()
    assert mirror.fetch(origin.remote, ["main"]) == {"main": base}
    snapshot = checkout(mirror, base, tmp_path / "tree")
    write_file(tmp_path / "tree", "docs/new.md", b"new\n")
    changeset = collect(mirror, base, tmp_path / "tree", snapshot, paths=["**"])
    commit = write_commit(mirror, changeset, "Change\n", when)
    mirror.push(origin.remote, commit, "whimbrel/x", expected=None)
    assert repositories.head(origin.bare, "whimbrel/x") == commit
    assert not canary.exists()


@pytest.mark.parametrize("url", ["ext::sh -c 'touch canary'", "fd::3", "https://user:password@127.0.0.1:9/x"])
def test_urls_that_run_something_or_hold_a_secret(origin: Origin, tmp_path: Path, url: str) -> None:
    with pytest.raises(GitError) as caught:
        origin.mirror().fetch(Remote(url), ["main"])
    assert not caught.value.retryable
    assert not list(tmp_path.rglob("canary"))


@pytest.mark.parametrize(
    ("stderr", "retryable", "mend"),
    [
        ("fatal: unable to access 'https://x/': Could not resolve host: x", True, ""),
        ("error: RPC failed; HTTP 502 curl 22\nfatal: early EOF", True, ""),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 503", True, ""),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", False, "credential"),
        ("fatal: Authentication failed for 'https://x/'", False, "credential"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", False, "credential"),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", False, "not there"),
        ('Timeout: the command "git fetch" did not complete in 900 secs.', True, ""),
        ("fatal: something never seen", False, ""),
    ],
)
def test_what_a_failure_means(stderr: str, retryable: bool, mend: str) -> None:
    error = failure("cannot fetch", Output(128, b"", stderr))
    assert error.retryable == retryable
    assert mend in error.mend
    assert "cannot fetch" in str(error)


def test_a_git_that_hangs_is_ended(origin: Origin) -> None:
    output = git(["-c", "alias.hang=!sleep 600", "hang"], origin.bare, timeout_seconds=0.2)
    assert output.status != 0
    assert failure("x", output).retryable


def test_git_is_imported_when_it_is_needed_only() -> None:
    """GitPython starts a git when it is imported."""
    script = "import sys, bot.git; sys.exit('git' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, env={"PATH": os.environ["PATH"]}).returncode == 0
