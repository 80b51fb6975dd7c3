"""Control groups on folders that stand in for them; the real ones are in the conformance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.policies import Limits
from bot.ports import SandboxEnd
from bot.sandbox.cgroups import VERSION_1, VERSION_2, Cgroup, find_cgroups, own_folder

LIMITS = Limits(memory_mb=100, processes=50, cpus=1.5)


def describe(proc: Path, cgroup: str, mountinfo: list[str]) -> Path:
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text("".join(f"{line}\n" for line in mountinfo))
    return proc


def mount_1(place: Path, controllers: str, root: str = "/") -> str:
    return f"30 20 0:26 {root} {place} rw,relatime - cgroup cgroup rw,{controllers}"


def mount_2(place: Path, root: str = "/") -> str:
    return f"30 20 0:26 {root} {place} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"


def test_version_1_is_used_below_our_own_group(tmp_path: Path) -> None:
    for name in ("memory/service", "pids", "cpu,cpuacct"):
        (tmp_path / name).mkdir(parents=True)
    proc = describe(
        tmp_path / "proc",
        "9:memory:/service\n8:pids:/\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
        [mount_1(tmp_path / name, name) for name in ("memory", "pids", "cpu,cpuacct")],
    )
    found = find_cgroups(proc)
    assert found
    assert found.name == "cgroup v1"
    assert found._parents == {
        "memory": tmp_path / "memory" / "service",
        "pids": tmp_path / "pids",
        "cpu": tmp_path / "cpu,cpuacct",
    }


def test_a_missing_cpu_controller_is_told(tmp_path: Path) -> None:
    proc = describe(tmp_path / "proc", "2:memory:/\n1:pids:/\n", [mount_1(tmp_path, "memory"), mount_1(tmp_path, "pids")])
    found = find_cgroups(proc)
    assert found
    assert found.name == "cgroup v1, without cpu"


def group_2(folder: Path, handed_down: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cgroup.procs").touch()
    (folder / "cgroup.subtree_control").write_text(f"{handed_down}\n")
    return folder


def test_version_2_is_used_where_controllers_can_be_had(tmp_path: Path) -> None:
    own = group_2(tmp_path / "service", "cpu memory pids")
    found = find_cgroups(describe(tmp_path / "proc", "0::/outer/service\n", [mount_2(tmp_path, root="/outer")]))
    assert found
    assert found.name == "cgroup v2"
    assert found._parents == {"cpu": own, "memory": own, "pids": own}


def test_version_2_is_used_beside_our_own_group_where_that_has_processes(tmp_path: Path) -> None:
    around = group_2(tmp_path / "slice", "memory pids")
    group_2(around / "service", "")
    found = find_cgroups(describe(tmp_path / "proc", "0::/slice/service\n", [mount_2(tmp_path)]))
    assert found
    assert found._parents == {"memory": around, "pids": around}


@pytest.mark.parametrize("cgroup", ["0::/elsewhere\n", "0::/\n"])
def test_without_controllers_there_are_none(tmp_path: Path, cgroup: str) -> None:
    proc = describe(tmp_path / "proc", cgroup, [mount_2(tmp_path, root="/outer" if "elsewhere" in cgroup else "/")])
    assert find_cgroups(proc) is None


def test_version_2_without_the_memory_controller_is_not_used(tmp_path: Path) -> None:
    group_2(tmp_path, "cpu pids")
    assert find_cgroups(describe(tmp_path / "proc", "0::/\n", [mount_2(tmp_path)])) is None


def test_settings_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "memory.memsw.limit_in_bytes").touch()
    Cgroup(VERSION_1, dict.fromkeys(("memory", "pids", "cpu"), tmp_path), LIMITS).configure()
    assert settings(tmp_path) == {
        "memory.limit_in_bytes": "104857600",
        "memory.memsw.limit_in_bytes": "104857600",
        "pids.max": "52",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
    }


def test_settings_of_version_2_on_a_kernel_without_swap(tmp_path: Path) -> None:
    Cgroup(VERSION_2, dict.fromkeys(("memory", "pids", "cpu"), tmp_path), LIMITS).configure()
    assert settings(tmp_path) == {
        "memory.max": "104857600",
        "memory.oom.group": "1",
        "pids.max": "52",
        "cpu.max": "150000 100000",
    }


def test_a_controller_that_is_missing_gets_no_setting(tmp_path: Path) -> None:
    Cgroup(VERSION_2, dict.fromkeys(("memory", "pids"), tmp_path), LIMITS).configure()
    assert not (tmp_path / "cpu.max").exists()


def settings(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("events", "forks", "end"),
    [
        ("oom 0\noom_kill 0\n", "max 0\n", None),
        ("oom 1\noom_kill 1\n", "max 0\n", SandboxEnd.MEMORY),
        ("oom 0\noom_kill 0\n", "max 3\n", SandboxEnd.PROCESSES),
    ],
)
def test_breaches_of_version_2(tmp_path: Path, events: str, forks: str, end: SandboxEnd | None) -> None:
    (tmp_path / "memory.events").write_text(events)
    (tmp_path / "pids.events").write_text(forks)
    (tmp_path / "memory.current").write_text("102400000\n")
    breach = Cgroup(VERSION_2, dict.fromkeys(("memory", "pids"), tmp_path), LIMITS).breach()
    assert (breach.end if breach else None) is end
    if end is SandboxEnd.MEMORY:
        assert breach
        assert breach.reason == "memory: 98 MB of 100 MB allowed"


def test_groups_of_dead_owners_are_cleared_away_and_those_of_live_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "whimbrel-dead").mkdir()
    (tmp_path / "another").mkdir()
    with own_folder(tmp_path / "whimbrel-live"), own_folder(tmp_path / "whimbrel-new"):
        assert {path.name for path in tmp_path.iterdir()} == {"another", "whimbrel-live", "whimbrel-new"}
    assert [path.name for path in tmp_path.iterdir()] == ["another"]
