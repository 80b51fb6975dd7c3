from __future__ import annotations

from pathlib import Path

from bot.config import Settings, packaged
from bot.demo.compliance import comply
from bot.demo.organization import build_organization
from bot.hosts.local import LocalHost


def test_a_compliant_repository_needs_nothing_more(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "WHIMBREL_HOME": str(tmp_path / "home"),
            "WHIMBREL_POLICIES": str(packaged("policies")),
            "WHIMBREL_TEMPLATES": str(packaged("templates")),
        }
    )
    build_organization(tmp_path / "host", comply=comply(settings))

    host = LocalHost(tmp_path / "host")
    repository = host.repository("acme", "feature-flags")
    files = dict(host.read_files(repository, host.list_paths(repository)))
    needed = comply(settings)(repository, files)
    assert set(needed) == {"README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"}
    assert needed == {path: files[path] for path in needed}
    assert b"python-version" in needed[".github/workflows/ci.yml"]
    assert needed["README.md"].startswith(b"# feature-flags\n\nPercentage rollouts")


def test_the_others_do_need_something(tmp_path: Path) -> None:
    settings = Settings.from_environment({"WHIMBREL_POLICIES": str(packaged("policies"))})
    build_organization(tmp_path / "host", comply=comply(settings))
    host = LocalHost(tmp_path / "host")
    for repository in host.repositories("acme"):
        if repository.head and repository.name != "feature-flags":
            files = dict(host.read_files(repository, host.list_paths(repository)))
            needed = comply(settings)(repository, files)
            assert any(files.get(path) != content for path, content in needed.items())
