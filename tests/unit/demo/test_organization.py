from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path

import pygit2
import pytest
from ruamel.yaml import YAML

from bot.demo.organization import REPOSITORIES, build_organization
from bot.domain.policies import RepositoryPolicy
from bot.domain.repositories import Repository
from bot.hosts.local import LocalHost

STANDARD = {"CONTRIBUTING.md": b"Be kind.\n", "README.md": b"# Replaced\n"}
SETUP_PY = ["billing-worker", "feature-flags", "ledger-api", "localized-mail", "payments-sdk", "report-cli", "retry-utils"]


def comply(repository: Repository, files: dict[str, bytes]) -> dict[str, bytes]:
    assert repository.full_name == "acme/feature-flags"
    assert repository.languages == {"python"}
    assert repository.url.endswith("/host/acme/feature-flags.git")
    assert b"setup(" in files["setup.py"]
    return STANDARD


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "host"
    build_organization(root, comply=comply)
    return root


def opened(host: Path, name: str) -> pygit2.Repository:
    return pygit2.Repository(str(host / "acme" / f"{name}.git"))


def entries(host: Path, name: str) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file at the head."""
    repository = opened(host, name)
    index = pygit2.Index()
    index.read_tree(repository.head.peel(pygit2.Tree))
    return {entry.path: (int(entry.mode), repository[entry.id].peel(pygit2.Blob).data) for entry in index}


def metadata(host: Path, name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((host / "acme" / f"{name}.meta" / "repository.json").read_text(encoding="utf-8"))
    return loaded


def heads(host: Path) -> dict[str, str]:
    found = {wanted.name: opened(host, wanted.name) for wanted in REPOSITORIES}
    return {name: str(repository.head.target) for name, repository in found.items() if not repository.head_is_unborn}


def check_out(host: Path, name: str, tree: Path) -> Path:
    for path, (mode, content) in entries(host, name).items():
        if mode != pygit2.enums.FileMode.LINK:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
    return tree


def test_twelve_repositories_and_nothing_else(host: Path) -> None:
    names = [wanted.name for wanted in REPOSITORIES]
    assert len(set(names)) == 12
    assert sorted(path.name for path in (host / "acme").iterdir()) == sorted(
        f"{name}{suffix}" for name in names for suffix in (".git", ".meta")
    )
    assert [path.name for path in host.iterdir()] == ["acme"]


def test_every_history_belongs_to_a_repository() -> None:
    written = {Path(text.name).stem for text in (resources("bot.demo") / "files").iterdir()}
    assert written == {wanted.name for wanted in REPOSITORIES if not wanted.empty}


@pytest.mark.parametrize(("key", "names"), [("archived", ["legacy-checkout"]), ("fork", ["retry-utils"]), ("template", [])])
def test_the_metadata_of_each_part(host: Path, key: str, names: list[str]) -> None:
    assert [wanted.name for wanted in REPOSITORIES if metadata(host, wanted.name)[key]] == names


def test_metadata_is_complete(host: Path) -> None:
    for wanted in REPOSITORIES:
        assert set(metadata(host, wanted.name)) == {"archived", "fork", "template", "topics", "description", "visibility"}


def test_one_is_empty_and_one_is_on_trunk(host: Path) -> None:
    repositories = {wanted.name: opened(host, wanted.name) for wanted in REPOSITORIES}
    assert [name for name, found in repositories.items() if found.head_is_unborn] == ["incident-bot"]
    on_trunk = [name for name, found in repositories.items() if found.references["HEAD"].target == "refs/heads/trunk"]
    assert on_trunk == ["storefront-web"]
    assert repositories["storefront-web"].head.shorthand == "trunk"


def test_every_history_has_several_commits_with_fixed_dates(host: Path) -> None:
    for wanted in REPOSITORIES:
        repository = opened(host, wanted.name)
        if not wanted.empty:
            commits = list(repository.walk(repository.head.target))
            assert len(commits) >= 2
            assert all(commit.committer == commit.author for commit in commits)


def test_one_opts_out(host: Path) -> None:
    with_policy = [name for name in heads(host) if ".whimbrel.yaml" in entries(host, name)]
    assert with_policy == ["engineering-handbook"]
    text = entries(host, "engineering-handbook")[".whimbrel.yaml"][1]
    assert RepositoryPolicy.model_validate(YAML(typ="safe").load(text)).enabled is False


def test_one_has_a_name_beyond_ascii_and_a_binary(host: Path) -> None:
    found = entries(host, "localized-mail")
    assert [path for path in found if not path.isascii()] == ["docs/Übersetzung - 翻訳.md"]
    assert [path for path, (_, content) in found.items() if b"\0" in content] == ["src/localized_mail/assets/logo.png"]


def test_the_compliant_one_has_what_comply_gave(host: Path) -> None:
    found = entries(host, "feature-flags")
    assert {path: found[path][1] for path in STANDARD} == STANDARD
    assert "feature_flags/rollout.py" in found


def test_it_is_listed_as_it_was_when_it_was_made_compliant(host: Path) -> None:
    seen: list[Repository] = []

    def note(repository: Repository, files: dict[str, bytes]) -> dict[str, bytes]:
        seen.append(repository)
        return {}

    root = host.parent / "listed"
    build_organization(root, comply=note)
    listed = LocalHost(root).repository("acme", "feature-flags")
    assert [replace(listed, head=seen[0].head, size_kb=seen[0].size_kb)] == seen


def test_the_hostile_one_reaches_out_and_building_it_runs_nothing(host: Path) -> None:
    found = entries(host, "payments-sdk")
    link = pygit2.enums.FileMode.LINK
    assert found["docs/secrets"] == (link, b"/etc/passwd")
    assert found["CONTRIBUTING.md"] == (link, b"../../../../etc/hostname")
    assert found[".husky/pre-commit"][0] == pygit2.enums.FileMode.BLOB_EXECUTABLE
    canary = host.parent / "canary"
    armed = [".claude/settings.json", ".claude/agents/reviewer.md", ".mcp.json", ".gitconfig", ".husky/pre-commit"]
    assert [path for path in armed if f"touch {canary}" not in found[path][1].decode()] == []
    assert set(json.loads(found[".claude/settings.json"][1])["hooks"]) >= {"SessionStart", "PreToolUse"}
    assert json.loads(found[".mcp.json"][1])["mcpServers"]
    assert b"filter=audit" in found[".gitattributes"][1]
    assert b"unittest" in found["CLAUDE.md"][1]
    assert not canary.exists()


def test_the_canary_is_where_it_is_asked_for(tmp_path: Path) -> None:
    build_organization(tmp_path / "host", comply=comply, canary=tmp_path / "a bird")
    assert f"touch '{tmp_path}/a bird'" in entries(tmp_path / "host", "payments-sdk")[".husky/pre-commit"][1].decode()


@pytest.mark.parametrize("name", SETUP_PY)
def test_python_repositories_pass_their_tests(host: Path, name: str, tmp_path: Path) -> None:
    assert run_tests(check_out(host, name, tmp_path)).returncode == 0


def test_one_fails_its_tests_on_its_base(host: Path, tmp_path: Path) -> None:
    ended = run_tests(check_out(host, "pricing-engine", tmp_path))
    assert ended.returncode == 1
    assert "212 != 213" in ended.stderr


def test_every_other_setup_py_is_covered_above(host: Path) -> None:
    assert [name for name in heads(host) if "setup.py" in entries(host, name)] == sorted([*SETUP_PY, "pricing-engine"])


def test_the_same_commits_every_time(host: Path, tmp_path: Path) -> None:
    build_organization(tmp_path / "host", comply=comply, canary=host.parent / "canary")
    assert heads(tmp_path / "host") == heads(host)


def test_a_second_build_leaves_what_is_there_alone(tmp_path: Path) -> None:
    root = tmp_path / "host"
    built = build_organization(root, comply=comply)
    assert built == [wanted.name for wanted in REPOSITORIES]
    before = heads(root)
    repository = opened(root, "ledger-api")
    merged = repository.references.create("refs/heads/main", repository.head.peel(pygit2.Commit).parent_ids[0], force=True)
    (root / "acme" / "ledger-api.meta" / "pull_requests.json").write_text("[]")

    assert build_organization(root, comply=comply) == []
    assert heads(root) == {**before, "ledger-api": str(merged.target)}
    assert (root / "acme" / "ledger-api.meta" / "pull_requests.json").exists()


def test_a_build_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    def cut_off(repository: Repository, files: dict[str, bytes]) -> dict[str, bytes]:
        raise InterruptedError(repository.name)

    root = tmp_path / "host"
    with pytest.raises(InterruptedError, match="feature-flags"):
        build_organization(root, comply=cut_off)
    assert not (root / "acme" / "feature-flags.git").exists()
    assert [path.name for path in root.iterdir()] == ["acme"]
    (root / "acme" / "feature-flags.meta").mkdir()

    assert "feature-flags" in build_organization(root, comply=comply)
    assert metadata(root, "feature-flags")["archived"] is False


def run_tests(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "unittest"], cwd=tree, capture_output=True, text=True, check=False)
