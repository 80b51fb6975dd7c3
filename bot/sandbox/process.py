"""One sandbox as a process: started behind a gate, its pipes moved, ended so that nothing of it is left."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from bot.errors import SandboxError
from bot.ports import SandboxCommand
from bot.sandbox.arguments import GROUP, PASSWD, Bwrap, options
from bot.sandbox.dropping import Stage, give_pipes
from bot.sandbox.output import Output
from bot.sandbox.seccomp import socket_filter

KILLED = 128 + signal.SIGKILL

# The command starts once a first line came on its stdin, when its limits are in place. Should we die before, it never starts.
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@"', "gate")
_CHUNK = 1 << 16
_DYING_SECONDS = 30
_FORBIDDEN = (
    "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or "
    "kernel.apparmor_restrict_unprivileged_userns=0), or run as root; in a container, with --security-opt seccomp=unconfined"
)


@contextmanager
def gated(bwrap: Bwrap, command: SandboxCommand, output: Output, *, drop: bool) -> Iterator[SandboxProcess]:
    """A sandbox whose command waits for `release`; after the block, no process of it is alive.

    With `drop`, root starts it as the unprivileged user of `bot.sandbox.dropping`.

    It lives as long as the calling thread at most: the kernel ties it to that. Raises SandboxError where it does not start.
    """
    process = SandboxProcess(*_spawn(bwrap, command, drop=drop), output)
    try:
        process.attach()
        yield process
    finally:
        process.close()


class SandboxProcess:
    """bwrap outside (`popen`), its process 1 inside, and below that the command."""

    def __init__(self, popen: subprocess.Popen[bytes], status: int, output: Output) -> None:
        assert popen.stdout
        assert popen.stderr
        self._popen, self._output = popen, output
        self._status = os.fdopen(status)
        self._stdin = memoryview(b"")
        self._monitor_fd = os.pidfd_open(popen.pid)
        self._init = 0
        self._init_fd: int | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._monitor_fd, selectors.EVENT_READ)
        for stream, consume in ((popen.stdout, output.stdout), (popen.stderr, output.stderr)):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, partial(self._read, stream.fileno(), consume))

    def attach(self) -> None:
        """Get hold of process 1: as long as it is alive, anything of the sandbox may be; with it, the kernel ends all."""
        line = self._status.readline()
        if not line:
            self.finish()
            raise self.failure()
        self._init = json.loads(line)["child-pid"]
        with suppress(ProcessLookupError):
            self._init_fd = os.pidfd_open(self._init)

    def pids(self) -> Iterator[int]:
        """Every process that there is before `release`.

        Whoever puts them under a limit one by one misses none: what process 1 starts after its turn inherits the limit, and
        what it had started before is listed after its turn.
        """
        yield self._popen.pid
        yield self._init
        with suppress(psutil.NoSuchProcess):
            yield from [child.pid for child in psutil.Process(self._init).children()]

    def tree(self) -> list[int]:
        """Every process of the sandbox at this moment."""
        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self._popen.pid).children(recursive=True)]
        return []

    def release(self, stdin: bytes) -> None:
        """Open the gate, and let the command read `stdin` and then its end."""
        assert self._popen.stdin
        self._stdin = memoryview(b"go\n" + stdin)
        os.set_blocking(self._popen.stdin.fileno(), False)
        self._selector.register(self._popen.stdin, selectors.EVENT_WRITE, self._write)

    def pump(self, seconds: float) -> bool:
        """Move what is there to be moved, waiting at most `seconds` for it. False once the command has ended."""
        running = True
        for key, _ in self._selector.select(seconds):
            if key.fd == self._monitor_fd:
                running = False
            else:
                key.data()
        return running

    def finish(self) -> None:
        """Kill what is left, and read what it had written."""
        self._kill()
        for key in list(self._selector.get_map().values()):
            if key.fileobj in (self._popen.stdout, self._popen.stderr):
                while key.data():
                    pass
        self._output.close()

    def exit_status(self) -> int | None:
        """As a shell gives it, after `finish`; None where the command did not end by itself."""
        for line in self._status:
            if "exit-code" in (told := json.loads(line)):
                return int(told["exit-code"])
        return None

    def failure(self) -> SandboxError:
        """Why there is no exit status, though nobody of us has ended it."""
        if self._popen.returncode < 0:
            return SandboxError(f"the sandbox was killed from outside by signal {-self._popen.returncode}", retryable=True)
        said = self._output.tail.strip() or f"bubblewrap ended with status {self._popen.returncode} and said nothing"
        forbidden = "amespace" in said or "uid map" in said
        return SandboxError(f"the sandbox could not be started: {said}", mend=_FORBIDDEN if forbidden else "")

    def close(self) -> None:
        self._kill()
        self._selector.close()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            assert stream
            stream.close()
        self._status.close()
        os.close(self._monitor_fd)
        if self._init_fd is not None:
            os.close(self._init_fd)

    def _read(self, fd: int, consume: Callable[[bytes], None]) -> bool:
        """Whether there may be more."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._selector.unregister(fd)
            return False
        consume(chunk)
        return True

    def _write(self) -> None:
        assert self._popen.stdin
        try:
            self._stdin = self._stdin[os.write(self._popen.stdin.fileno(), self._stdin) :]
        except BrokenPipeError:  # the command does not care for the rest of it
            self._stdin = self._stdin[:0]
        if not self._stdin:
            self._selector.unregister(self._popen.stdin)
            self._popen.stdin.close()

    def _kill(self) -> None:
        if self._init_fd is not None:  # first, and told directly: with process 1, the kernel kills all the others at once
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
        if self._popen.returncode is None:  # not reaped yet, so its number is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        if self._init_fd is not None:
            self._await_init(self._init_fd)

    def _await_init(self, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(_DYING_SECONDS * 1000):
            raise SandboxError(f"a process of the sandbox did not die within {_DYING_SECONDS} s (process {self._init})")


def _spawn(bwrap: Bwrap, command: SandboxCommand, *, drop: bool) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and where its status can be read."""
    with ExitStack() as ours, ExitStack() as unless_started:
        status, status_writer = os.pipe()
        ours.callback(os.close, status_writer)
        unless_started.callback(os.close, status)
        argv, inherited = _prepare(bwrap, command, status_writer, ours, drop=drop)
        try:
            popen = subprocess.Popen(
                argv,
                cwd="/",
                env={},
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[*inherited, status_writer],
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise SandboxError(f"bubblewrap could not be started: {error}") from error
        unless_started.pop_all()
        if drop:
            give_pipes(stream for stream in (popen.stdin, popen.stdout, popen.stderr) if stream)
        return popen, status


def _prepare(bwrap: Bwrap, command: SandboxCommand, status: int, ours: ExitStack, *, drop: bool) -> tuple[list[str], list[int]]:
    """The command line, and the files that it reads. Nothing but the command itself, and where its folders are, is in it."""
    sources = [bwrap.package, command.workspace, command.home, *(mount.source for mount in command.mounts)]
    stage = Stage(sources) if drop else None
    seen = stage.seen if stage else Path.absolute
    passwd, group, empty = (_memory_file(text, ours) for text in (PASSWD.encode(), GROUP.encode(), b""))
    program = socket_filter()
    seccomp = None if program is None else _memory_file(program, ours)
    words = options(command, bwrap, seen=seen, passwd=passwd, group=group, empty=empty, seccomp=seccomp, status=status)
    arguments = _memory_file(os.fsencode("\0".join(words)), ours)
    binary = seen(bwrap.package) / bwrap.path.absolute().relative_to(bwrap.package)
    argv = [str(binary), "--args", str(arguments), "--", *_GATE, *command.argv]
    inherited = [fd for fd in (arguments, passwd, group, empty, seccomp) if fd is not None]
    return stage.start(argv) if stage else argv, inherited


def _memory_file(content: bytes, owner: ExitStack) -> int:
    """A file descriptor to read `content` from: no temporary file to leave behind, no pipe to fill up."""
    fd = os.memfd_create("sandbox")
    owner.callback(os.close, fd)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
