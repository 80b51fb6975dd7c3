"""The one place that starts a git process: for the network, and for what only real git can answer.

Its environment is scrubbed. Of this process's own environment it sees a path and the network's settings, none of its keys;
of git's configuration it sees git.config beside this file, and what the remote's environment holds for this one process.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ConfigurationError, GitError

_KEPT = frozenset({
    "PATH", "TMPDIR",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
})  # fmt: skip
_FIXED = {
    "GIT_CONFIG_GLOBAL": str(Path(__file__).with_name("git.config")),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
}
_NO_SUCH_PROGRAM = 127

_MISSING = re.compile(
    r"does not appear to be a git repository|repository .* not found|repository not found|error: 404|does not exist"
    r"|no such file or directory",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|error: 40[13]|dubious ownership", re.IGNORECASE
)
NO_ROOM = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_PROTECTED = re.compile(r"\bGH0(06|13)\b|protected branch|hook declined", re.IGNORECASE)
_TRANSIENT = re.compile(
    r"could ?n.t (resolve host|connect)|could not resolve|failed to connect|connection (refused|reset|timed out|closed)"
    r"|network is unreachable|no route to host|timed? ?out|hung up unexpectedly|unexpected disconnect|early eof|rpc failed"
    r"|error: (429|5\d\d)|ssl_|gnutls|unable to create '.*\.lock'",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Output:
    """What a git process left: `stderr` is for people."""

    status: int
    stdout: bytes
    stderr: str


def git(
    arguments: Sequence[str],
    repository: Path,
    *,
    work_tree: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float = 900,
    inherit: Sequence[int] = (),
) -> Output:
    """Run git on a bare repository and wait for it; any exit status is the caller's to judge.

    `environment` is added for this process alone; no secret belongs into `arguments`. The descriptors `inherit` stay open
    in git, so that a lock lasts as long as it does, even when this process is killed. Raises ConfigurationError without git.
    """
    try:
        from git.cmd import Git
    except ImportError as error:
        raise _no_git() from error
    given = {**_FIXED, **(environment or {})}
    # GitPython hands all of os.environ on: what is not wanted is taken out by name, so that no value is in an argv.
    unwanted = [f"--unset={name}" for name in os.environ if name not in _KEPT and name not in given]
    places = [f"--git-dir={repository}", *([f"--work-tree={work_tree}"] if work_tree else [])]
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        status, stdout, stderr = Git(work_tree or repository).execute(
            ["env", *unwanted, "git", *places, *arguments],
            istream=source,
            env=given,
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
            kill_after_timeout=timeout_seconds,
            pass_fds=tuple(inherit),
        )
    if status == _NO_SUCH_PROGRAM:
        raise _no_git()
    return Output(status, stdout, stderr)


def failure(what: str, output: Output) -> GitError:
    """The error that a failed process means: with a mend, and retryable when the network or the server was at fault."""
    said = _last_words(output.stderr) or f"git ended with status {output.status}"
    if _MISSING.search(output.stderr):
        return GitError(f"{what}: {said}", mend="the repository is not there (any more)")
    if _DENIED.search(output.stderr):
        return GitError(f"{what}: {said}", mend="check the credential, and who owns the repository")
    if _PROTECTED.search(output.stderr):
        return GitError(
            f"{what}: {said}", mend="let the bot past the rule for this branch, or have the policy use another name"
        )
    passing = _TRANSIENT.search(output.stderr) or NO_ROOM.search(output.stderr)
    return GitError(f"{what}: {said}", retryable=output.status < 0 or bool(passing))


def _last_words(stderr: str) -> str:
    """The lines that say what failed, without git's advice."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(remote: )?(fatal|error|Timeout):? ?", line)]
    return "; ".join((telling or lines)[-3:])[:600]


def _no_git() -> ConfigurationError:
    return ConfigurationError("git is not installed", mend="install git 2.30 or newer")
