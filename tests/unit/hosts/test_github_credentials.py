"""Who the bot is to a GitHub instance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.errors import ConfigurationError
from bot.hosts.github_credentials import GITHUB, GitHubApp, Token, load, save, webhook_signers
from bot.hosts.signers import Signer

KEY = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"
APP = GitHubApp(7, "whimbrel", KEY, ("new", "old"), "https://github.com/apps/whimbrel")
GHES = "https://ghe.example.com"


def test_what_was_saved_is_loaded_for_that_instance_alone(tmp_path: Path) -> None:
    save(tmp_path, GHES, APP)
    assert load(tmp_path, GHES, {}) == APP
    assert load(tmp_path, GITHUB, {}) is None
    assert load(tmp_path, f"{GHES}:8443", {}) is None


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    save(tmp_path, GITHUB, APP)
    save(tmp_path, GITHUB, GitHubApp(8, "other", KEY, (), ""))
    folder = tmp_path / "github" / "github.com"
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {
        "app.json": "0o600",
        "key.pem": "0o600",
    }
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert load(tmp_path, GITHUB, {}) == GitHubApp(8, "other", KEY, (), "")


def test_no_secret_is_shown() -> None:
    shown = repr(APP) + repr(Token("ghp_x"))
    assert not any(secret in shown for secret in ("abc", "new", "old", "ghp_x"))


def test_an_app_of_the_environment_comes_first(tmp_path: Path) -> None:
    save(tmp_path, GITHUB, APP)
    environ = {
        "WHIMBREL_GITHUB_APP_ID": "12",
        "WHIMBREL_GITHUB_PRIVATE_KEY": KEY.replace("\n", "\\n"),
        "WHIMBREL_GITHUB_WEBHOOK_SECRET": "one, two",
        "WHIMBREL_GITHUB_TOKEN": "ghp_x",
    }
    assert load(tmp_path, GITHUB, environ) == GitHubApp(12, "", KEY, ("one", "two"), "")


def test_a_token_that_is_meant_for_the_bot_comes_before_the_homes_app_and_one_that_is_not_after(tmp_path: Path) -> None:
    assert load(tmp_path, GITHUB, {"GITHUB_TOKEN": "ghp_y"}) == Token("ghp_y")
    save(tmp_path, GITHUB, APP)
    assert load(tmp_path, GITHUB, {"WHIMBREL_GITHUB_TOKEN": "ghp_x", "GITHUB_TOKEN": "ghp_y"}) == Token("ghp_x")
    assert load(tmp_path, GITHUB, {"GITHUB_TOKEN": "ghp_y"}) == APP


def test_the_shells_token_is_sent_to_no_other_instance(tmp_path: Path) -> None:
    assert load(tmp_path, GHES, {"GITHUB_TOKEN": "ghp_y"}) is None
    there = {"GITHUB_TOKEN": "ghp_y", "GITHUB_SERVER_URL": f"{GHES}/"}
    assert load(tmp_path, GHES, there) == Token("ghp_y")
    assert load(tmp_path, GITHUB, there) is None


def test_what_the_environment_has_may_be_for_one_instance_alone(tmp_path: Path) -> None:
    save(tmp_path, GITHUB, APP)
    there = {"WHIMBREL_GITHUB_TOKEN": "ghp_x", "WHIMBREL_GITHUB_URL": f"{GHES}/"}
    assert load(tmp_path, GHES, there) == Token("ghp_x")
    assert load(tmp_path, GITHUB, there) == APP


def test_each_instance_signs_with_secrets_of_its_own(tmp_path: Path) -> None:
    save(tmp_path, GITHUB, APP)
    save(tmp_path, f"{GHES}:8443", GitHubApp(8, "other", KEY, ("theirs",), ""))
    kept = [Signer("github.com", "new"), Signer("github.com", "old")]
    theirs = Signer("ghe.example.com", "theirs")
    assert webhook_signers(tmp_path, {}) == [theirs, *kept]
    own = {"WHIMBREL_GITHUB_APP_ID": "12", "WHIMBREL_GITHUB_PRIVATE_KEY": KEY, "WHIMBREL_GITHUB_WEBHOOK_SECRET": "mine"}
    assert webhook_signers(tmp_path, own) == [Signer("github.com", "mine"), theirs]
    there = own | {"WHIMBREL_GITHUB_URL": "https://GHE.example.com:8443/"}
    assert webhook_signers(tmp_path, there) == [Signer("ghe.example.com", "mine"), *kept]


def test_an_app_that_was_kept_before_files_named_their_instance(tmp_path: Path) -> None:
    save(tmp_path, f"{GHES}:8443", APP)
    file = tmp_path / "github" / "ghe.example.com_8443" / "app.json"
    file.write_text(json.dumps({name: value for name, value in json.loads(file.read_text()).items() if name != "url"}))
    assert {signer.instance for signer in webhook_signers(tmp_path, {})} == {"ghe.example.com"}


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"WHIMBREL_GITHUB_APP_ID": "12"}, "WHIMBREL_GITHUB_PRIVATE_KEY is not set"),
        ({"WHIMBREL_GITHUB_PRIVATE_KEY": KEY}, "WHIMBREL_GITHUB_APP_ID is not set"),
        ({"WHIMBREL_GITHUB_APP_ID": "whimbrel", "WHIMBREL_GITHUB_PRIVATE_KEY": KEY}, "WHIMBREL_GITHUB_APP_ID is 'whimbrel'"),
    ],
)
def test_half_an_app_is_refused(tmp_path: Path, environ: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(tmp_path, GITHUB, environ)


@pytest.mark.parametrize("about", ["{", "[]", '{"app_id": 1}', json.dumps({"app_id": "x"})])
def test_a_file_that_is_broken_is_told(tmp_path: Path, about: str) -> None:
    save(tmp_path, GITHUB, APP)
    (tmp_path / "github" / "github.com" / "app.json").write_text(about)
    with pytest.raises(ConfigurationError, match=r"app\.json cannot be used") as caught:
        load(tmp_path, GITHUB, {})
    assert "whimbrel setup github" in caught.value.mend


def test_a_key_that_is_gone_is_told(tmp_path: Path) -> None:
    save(tmp_path, GITHUB, APP)
    (tmp_path / "github" / "github.com" / "key.pem").unlink()
    with pytest.raises(ConfigurationError, match=r"key\.pem is missing"):
        load(tmp_path, GITHUB, {})
