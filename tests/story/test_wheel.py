"""The wheel by itself: policies and templates travel in it, and it works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.fakes import repositories

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of a new environment that has the wheel, and borrows all else from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    tell("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=CHECKOUT)
    (wheel,) = folder.glob("whimbrel-*.whl")
    tell("-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    tell("-m", "pip", "--python", str(folder / "venv" / "bin" / "python"), *OFFLINE, str(wheel), cwd=folder)
    (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    # A folder that a .pth adds has its own .pth files left unread: the editable install of the checkout is not among them.
    (packages / "borrowed.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return folder / "venv" / "bin"


OFFLINE = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")


def tell(*arguments: str, cwd: Path, command: Path = Path(sys.executable)) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8"}
    done = subprocess.run([command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_brings_what_init_and_plan_need(installed: Path, tmp_path: Path) -> None:
    place = tell("-c", "import bot; print(bot.__file__)", cwd=tmp_path, command=installed / "python").strip()
    assert Path(place).is_relative_to(installed.parent)
    tell("init", cwd=tmp_path, command=installed / "whimbrel")
    for name in ("policies", "templates"):
        assert below(tmp_path / name) == below(CHECKOUT / name)
    repositories.make(
        tmp_path / "demo" / "host" / "acme" / "alpha.git", {"setup.py": b"from setuptools import setup\nsetup()\n"}
    )
    planned = tell("plan", "migrate-to-pyproject", "--org", "acme", cwd=tmp_path, command=installed / "whimbrel")
    assert "alpha" in planned
    assert "target" in planned
    assert (tmp_path / ".whimbrel" / "whimbrel.db").is_file()


def below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
