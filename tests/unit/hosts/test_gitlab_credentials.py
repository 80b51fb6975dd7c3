"""Who the bot is to a group of a GitLab instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigurationError
from bot.hosts.gitlab_credentials import GITLAB, GitLabAccess, kept, load, save

OWN = "https://gitlab.example.com"
ACME = GitLabAccess("glpat-acme", ("whsec_bmV3", "old"), "acme", "https://bot.example.com/webhooks/gitlab")
PLATFORM = GitLabAccess("glpat-platform", (), "acme/platform")


def test_what_was_saved_is_loaded_for_that_instance_alone(tmp_path: Path) -> None:
    save(tmp_path, OWN, ACME)
    assert load(tmp_path, OWN, "acme", {}) == ACME
    assert load(tmp_path, GITLAB, "acme", {}) is None
    assert load(tmp_path, f"{OWN}:8443", "acme", {}) is None


def test_the_nearest_group_above_has_a_word_for_those_below_it(tmp_path: Path) -> None:
    save(tmp_path, GITLAB, ACME)
    save(tmp_path, GITLAB, PLATFORM)
    assert load(tmp_path, GITLAB, "acme/web/old", {}) == ACME
    assert load(tmp_path, GITLAB, "Acme/Platform/tools", {}) == PLATFORM
    assert load(tmp_path, GITLAB, "acme-2", {}) is None
    assert load(tmp_path, GITLAB, "platform", {}) is None


def test_all_of_them_are_known_with_their_instance(tmp_path: Path) -> None:
    assert kept(tmp_path) == []
    save(tmp_path, GITLAB, ACME)
    save(tmp_path, OWN, PLATFORM)
    assert kept(tmp_path) == [(GITLAB, ACME), (OWN, PLATFORM)]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    save(tmp_path, GITLAB, ACME)
    save(tmp_path, GITLAB, PLATFORM)
    folder = tmp_path / "gitlab" / "gitlab.com"
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {
        "acme.json": "0o600",
        "acme%2Fplatform.json": "0o600",
    }
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_no_secret_is_shown() -> None:
    assert not any(secret in repr(ACME) for secret in ("glpat", "whsec", "old"))


def test_the_environment_comes_first_and_can_be_for_one_instance(tmp_path: Path) -> None:
    save(tmp_path, GITLAB, ACME)
    environ = {
        "WHIMBREL_GITLAB_TOKEN": "glpat-x",
        "WHIMBREL_GITLAB_WEBHOOK_SECRET": "whsec_b25l, two",
        "WHIMBREL_GITLAB_WEBHOOK_URL": "https://hooks.example.com",
    }
    given = GitLabAccess("glpat-x", ("whsec_b25l", "two"), webhook_url="https://hooks.example.com")
    assert load(tmp_path, GITLAB, "acme", environ) == given
    assert load(tmp_path, OWN, "other", environ) == given
    assert load(tmp_path, GITLAB, "acme", {**environ, "WHIMBREL_GITLAB_URL": f"{OWN}/"}) == ACME
    assert load(tmp_path, OWN, "acme", {**environ, "WHIMBREL_GITLAB_URL": f"{OWN}/"}) == given


@pytest.mark.parametrize("text", ["{", "[]", '{"url": "https://gitlab.com"}'])
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: str) -> None:
    save(tmp_path, GITLAB, ACME)
    file = tmp_path / "gitlab" / "gitlab.com" / "acme.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"acme\.json cannot be used") as caught:
        load(tmp_path, GITLAB, "acme", {})
    assert "whimbrel setup gitlab" in caught.value.mend
