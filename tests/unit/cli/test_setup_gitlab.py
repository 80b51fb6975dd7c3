from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import cli
from bot.errors import ConfigurationError, HostError, HostUnavailable, UsageError
from bot.hosts.gitlab_credentials import GitLabAccess, load, save
from tests.fakes.gitlab import FakeGitLab, Hook

PUBLIC = "https://bot.example.com"
WEBHOOK = f"{PUBLIC}/webhooks/gitlab"
Setup = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitLab]:
    with FakeGitLab(tmp_path / "hub") as hub:
        hub.create_group("acme/platform")
        yield hub


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def setup(hub: FakeGitLab, home: Path) -> Setup:
    """`whimbrel setup gitlab` for the hub, with the environment given."""
    return partial(invoke, home, "--url", hub.url)


@pytest.fixture
def token(hub: FakeGitLab) -> str:
    return hub.group_token("acme", "whimbrel", level="owner")


def invoke(home: Path, *options: str, group: str = "acme", **environment: str) -> Result:
    arguments = ["setup", "gitlab", "--group", group, *options]
    return CliRunner().invoke(cli, arguments, env={"WHIMBREL_HOME": str(home), **environment})


def refusal(result: Result) -> str:
    assert isinstance(result.exception, UsageError | ConfigurationError | HostError), result.output
    return result.exception.explanation


def kept(hub: FakeGitLab, home: Path, group: str = "acme") -> GitLabAccess:
    access = load(home, hub.url, group, {})
    assert access is not None
    return access


def hook_of(hub: FakeGitLab) -> Hook:
    (hook,) = hub.hooks
    return hook


def test_a_group_gets_a_webhook_that_signs(setup: Setup, hub: FakeGitLab, home: Path, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{token}\n")
    result = setup("--public-url", f"{PUBLIC}/", "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 0, result.output
    access, hook = kept(hub, home), hook_of(hub)
    assert (access.token, access.group, access.webhook_url) == (token, "acme", WEBHOOK)
    assert (hook.url, hook.token, hook.signing_token) == (WEBHOOK, "", access.webhook_secrets[0])
    assert set(hook.events) == {
        "issues_events", "merge_requests_events", "note_events", "pipeline_events", "project_events", "push_events",
    }  # fmt: skip
    assert "acme is set up, by the token whimbrel of group_" in result.output
    assert f"host: gitlab:{hub.url}" in result.output
    assert token not in result.output
    assert access.webhook_secrets[0] not in result.output


def test_before_19_it_gets_a_secret_token(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    hub.state.signing, hub.state.version = False, "18.11.2-ee"
    assert setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token).exit_code == 0
    assert (hook_of(hub).token,) == kept(hub, home).webhook_secrets
    assert not kept(hub, home).webhook_secrets[0].startswith("whsec_")


def test_so_it_does_where_signing_is_switched_off(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    hub.state.signing = False
    result = setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
    assert result.exit_code == 0, result.output
    assert hook_of(hub).token == kept(hub, home).webhook_secrets[0]


def test_where_groups_have_no_webhooks_each_project_gets_one(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    hub.state.group_hooks = False
    for group, name in (("acme", "one"), ("acme/platform", "lib")):
        hub.create_project(group, name)
    hub.create_project("acme", "old", archived=True)
    assert setup("--webhook-url", WEBHOOK, WHIMBREL_GITLAB_TOKEN=token).exit_code == 0
    delivering = [hub.project(path).hooks.values() for path in ("acme/one", "acme/platform/lib", "acme/old")]
    assert [[hook.url for hook in hooks] for hooks in delivering] == [[WEBHOOK], [WEBHOOK], []]
    assert {hook.signing_token for hook in hub.hooks} == set(kept(hub, home).webhook_secrets)


def test_a_second_time_mends_what_is_wrong_and_makes_nothing_twice(
    setup: Setup, hub: FakeGitLab, home: Path, token: str
) -> None:
    setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
    secret = kept(hub, home).webhook_secrets
    hook_of(hub).events.discard("note_events")
    result = setup("--public-url", "https://new.example.com")
    assert "the webhook of the group acme is mended: it does not tell of note, it delivers to an earlier URL" in result.output
    assert (hook_of(hub).url, "note_events" in hook_of(hub).events) == ("https://new.example.com/webhooks/gitlab", True)
    assert kept(hub, home).webhook_secrets == secret
    assert "webhook of" not in setup("--public-url", "https://new.example.com").output


def test_without_a_url_there_is_no_webhook(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    result = setup(WHIMBREL_GITLAB_TOKEN=token)
    assert "labels and comments start nothing until --public-url" in result.output
    assert hub.hooks == []
    assert kept(hub, home) == GitLabAccess(token, (), "acme", "")


def test_a_token_for_a_secret_store_is_printed_and_not_kept(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    result = setup("--public-url", PUBLIC, "--print-env", WHIMBREL_GITLAB_TOKEN=token)
    environment = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert environment == {
        "WHIMBREL_GITLAB_URL": hub.url,
        "WHIMBREL_GITLAB_TOKEN": token,
        "WHIMBREL_GITLAB_WEBHOOK_SECRET": hook_of(hub).signing_token,
        "WHIMBREL_GITLAB_WEBHOOK_URL": WEBHOOK,
    }
    assert load(home, hub.url, "acme", {}) is None


def test_a_nested_group_has_a_token_of_its_own(setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
    setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
    other = hub.group_token("acme/platform", "whimbrel", level="owner")
    assert setup("--public-url", PUBLIC, group="Acme/Platform", WHIMBREL_GITLAB_TOKEN=other).exit_code == 0
    mine, theirs = kept(hub, home), kept(hub, home, "acme/platform")
    assert (mine.token, theirs.token, theirs.group) == (token, other, "acme/platform")
    assert not {*mine.webhook_secrets} & {*theirs.webhook_secrets}


def test_the_bot_s_own_token_need_not_be_an_owner_s(
    setup: Setup, hub: FakeGitLab, home: Path, token: str, tmp_path: Path
) -> None:
    """An owner's is used for the webhook, and kept nowhere."""
    hub.create_project("acme", "one")
    own = hub.group_token("acme", "for the bot", level="developer")
    words = refusal(setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=own))
    assert "may not look after webhooks in acme" in words
    assert "--owner-token-file" in words
    (tmp_path / "mine").write_text(token)
    owner = ("--owner-token-file", str(tmp_path / "mine"))
    assert setup("--public-url", PUBLIC, *owner, WHIMBREL_GITLAB_TOKEN=own).exit_code == 0
    assert hook_of(hub).url == WEBHOOK
    assert kept(hub, home).token == own
    assert setup("--rotate-secret", *owner).exit_code == 0
    assert kept(hub, home).webhook_secrets[0] == hook_of(hub).signing_token
    assert not [file for file in home.rglob("*") if file.is_file() and token in file.read_text()]


class TestTokens:
    def test_one_that_lacks_its_scope(self, setup: Setup, hub: FakeGitLab) -> None:
        token = hub.group_token("acme", "whimbrel", level="owner", scopes=("read_api", "write_repository"))
        assert "the token lacks the scope api" in refusal(setup(WHIMBREL_GITLAB_TOKEN=token))

    def test_one_whose_role_is_too_low(self, setup: Setup, hub: FakeGitLab, home: Path) -> None:
        token = hub.group_token("acme", "whimbrel", level="reporter")
        words = refusal(setup(WHIMBREL_GITLAB_TOKEN=token))
        assert "is Reporter in acme" in words
        assert not (home / "gitlab").exists()

    def test_a_maintainer_s_makes_no_group_webhook(self, setup: Setup, hub: FakeGitLab) -> None:
        """Where groups have them, but it may not touch them, each project gets one."""
        hub.create_project("acme", "one")
        result = setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=hub.group_token("acme", "whimbrel"))
        assert result.exit_code == 0, result.output
        assert [hook.url for hook in hub.project("acme/one").hooks.values()] == [WEBHOOK]

    def test_of_somebody_who_is_no_member(self, setup: Setup, hub: FakeGitLab) -> None:
        hub.add_user("zoe")
        assert "404" in refusal(setup(WHIMBREL_GITLAB_TOKEN=hub.personal_token("zoe")))

    def test_one_that_is_none(self, setup: Setup) -> None:
        words = refusal(setup(WHIMBREL_GITLAB_TOKEN="glpat-nothing"))
        assert "the token is wrong, has expired or was revoked" in words
        assert "glpat-nothing" not in words

    def test_of_a_service_account(self, setup: Setup, hub: FakeGitLab, home: Path) -> None:
        hub.service_account("acme", "bot", level="owner")
        ends = datetime.now(UTC).date() + timedelta(days=100)
        result = setup(WHIMBREL_GITLAB_TOKEN=hub.personal_token("bot", name="for whimbrel", expires_at=ends))
        assert f"by the token for whimbrel of bot, which ends on {ends:%Y-%m-%d}" in result.output

    def test_of_an_oauth_application(self, setup: Setup, hub: FakeGitLab) -> None:
        hub.add_user("ada", groups={"acme": "owner"})
        result = setup(WHIMBREL_GITLAB_TOKEN=hub.oauth_token("ada"))
        assert "by the token of an OAuth application of ada" in result.output

    def test_there_is_none(self, setup: Setup, hub: FakeGitLab) -> None:
        words = refusal(setup())
        assert "there is no access token" in words
        assert f"{hub.url}/groups/acme/-/settings/access_tokens" in words

    def test_an_empty_file(self, setup: Setup, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("\n")
        assert refusal(setup("--token-file", str(tmp_path / "token"))).endswith("token is empty")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--public-url", "https://b", "--webhook-url", "https://c"], "do not go together"),
        (["--rotate-secret", "--webhook-url", "https://c"], "--rotate-secret goes with"),
        (["--rotate-secret", "--print-env"], "--rotate-secret goes with"),
        (["--public-url", "bot.example.com"], "nothing that GitLab can reach"),
        (["--url", "http://gitlab.example.com"], "is no server's URL"),
    ],
)
def test_options_that_make_no_sense_are_refused(home: Path, options: list[str], words: str) -> None:
    assert words in refusal(invoke(home, *options))
    assert not home.exists()


class TestRotation:
    def test_both_secrets_count_after_it_and_the_next_one_forgets_the_oldest(
        self, setup: Setup, hub: FakeGitLab, home: Path, token: str
    ) -> None:
        setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
        (first,) = kept(hub, home).webhook_secrets
        assert "GitLab has a new secret for 1 webhook. " in setup("--rotate-secret").output
        second = hook_of(hub).signing_token
        assert kept(hub, home).webhook_secrets == (second, first)
        setup("--rotate-secret")
        assert kept(hub, home).webhook_secrets == (hook_of(hub).signing_token, second)

    @pytest.mark.parametrize("after_write", [False, True], ids=["before", "after"])
    def test_one_that_fails_keeps_every_secret_that_gitlab_may_use(
        self, setup: Setup, hub: FakeGitLab, home: Path, token: str, after_write: bool
    ) -> None:
        setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
        for _ in range(2):
            hub.fail(method="PUT", path_pattern="hooks", status=502, after_write=after_write)
            assert isinstance(setup("--rotate-secret").exception, HostUnavailable)
            assert hook_of(hub).signing_token in kept(hub, home).webhook_secrets
        assert setup("--rotate-secret").exit_code == 0
        assert kept(hub, home).webhook_secrets[0] == hook_of(hub).signing_token
        assert len(kept(hub, home).webhook_secrets) == 2

    def test_a_secret_token_makes_way_for_a_signing_token(self, setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
        """Once the server has learnt to sign. Until the next rotation, either is taken."""
        hub.state.signing, hub.state.version = False, "18.11.2-ee"
        setup("--public-url", PUBLIC, WHIMBREL_GITLAB_TOKEN=token)
        (plain,) = kept(hub, home).webhook_secrets
        hub.state.signing, hub.state.version = True, "19.1.0-ee"
        assert setup("--rotate-secret").exit_code == 0
        assert (hook_of(hub).signing_token, plain) == kept(hub, home).webhook_secrets
        assert hook_of(hub).token == ""

    def test_without_a_webhook_there_is_nothing_to_rotate(self, setup: Setup) -> None:
        assert "whimbrel setup gitlab --group acme --public-url" in refusal(setup("--rotate-secret"))

    def test_a_token_of_the_environment_is_rotated_by_hand(self, setup: Setup, hub: FakeGitLab, home: Path, token: str) -> None:
        save(home, hub.url, GitLabAccess(token, ("s",), "acme", WEBHOOK))
        result = setup("--rotate-secret", WHIMBREL_GITLAB_TOKEN="another")
        assert "WHIMBREL_GITLAB_WEBHOOK_SECRET" in refusal(result)
