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


def test_version_2_is_used_where_controllers_can_be_had(tmp_path: Path) -> None:
    own = tmp_path / "service"
    own.mkdir()
    control = own / "cgroup.subtree_control"
    proc = describe(tmp_path / "proc", "0::/outer/service\n", [mount_2(tmp_path, root="/outer")])
    control.write_text("memory pids")
    control.chmod(0o444)
    # A plain file would keep what is asked for last, so this stands for a kernel that has granted it all before.
    control.unlink()
    control.symlink_to(granted(tmp_path))
    found = find_cgroups(proc)
    assert found
    assert found._parents == {"cpu": own, "memory": own, "pids": own}


def granted(folder: Path) -> Path:
    raise NotImplementedError


@pytest.mark.parametrize("cgroup", ["0::/elsewhere\n", "0::/\n"])
def test_without_controllers_there_are_none(tmp_path: Path, cgroup: str) -> None:
    proc = describe(tmp_path / "proc", cgroup, [mount_2(tmp_path, root="/outer" if "elsewhere" in cgroup else "/")])
    assert find_cgroups(proc) is None
