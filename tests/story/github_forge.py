"""The story's GitHub."""

from __future__ import annotations

import base64
import html
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from bot.domain.pull_requests import Thread
from tests.fakes.github import FakeGitHub
from tests.fakes.github.records import Issue
from tests.fakes.github.webhooks import headers_of
from tests.story.conftest import Project
from tests.story.forges import MAINTAINER, OPERATOR, ORG, READER, CheckSeen, Files, Forge, PullSeen, file_in, full


@contextmanager
def github(folder: Path) -> Iterator[Forge]:
    with FakeGitHub(folder, guard=True) as hub:
        hub.create_org(ORG)
        hub.add_user(OPERATOR, orgs={ORG: "admin"})
        hub.add_user(MAINTAINER, orgs={ORG: "member"})
        hub.add_user(READER)
        yield GitHubForge(hub)


class GitHubForge:
    """An App that a manifest makes."""

    kind, deep, mark, shows_summaries, tells_of_installing = "github", "", "#", True, True

    def __init__(self, hub: FakeGitHub):
        self._hub = hub

    @property
    def host(self) -> str:
        return f"github:{self._hub.url}"

    @property
    def bot(self) -> str:
        return self._hub.app.bot.login

    def create(self, name: str, files: Files, *, archived: bool = False) -> None:
        roles = {MAINTAINER: "write", READER: "read"}
        self._hub.create_repository(ORG, name, files=files, archived=archived, roles=roles)

    def connect(self, project: Project, address: str) -> None:
        asked = ("--org", ORG, "--url", self._hub.url, "--public-url", address)
        said = project.whimbrel("setup", "github", *asked).stderr
        invitation = re.match(r"Open (\S+)\n.*\n\n +(\S+)\n", said)
        assert invitation, said
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            done = _make_app(browser, invitation[1], invitation[2])
            install = re.search(r'href="([^"]+/installations/new)"', done)
            assert install, done
            self._hub.use_app(max(self._hub.state.apps))
            browser.post(install[1])

    def open_issue(self, person: str, repository: str, title: str) -> Thread:
        return Thread(self._hub.as_user(person).open_issue(full(repository), title).number, "issue")

    def label(self, person: str, repository: str, thread: Thread, label: str) -> None:
        self._hub.as_user(person).label(full(repository), thread.number, label)

    def comment(self, person: str, repository: str, thread: Thread, body: str) -> int:
        return self._hub.as_user(person).comment(full(repository), thread.number, body).id

    def close(self, person: str, repository: str, number: int) -> None:
        self._hub.as_user(person).close(full(repository), number)

    def merge(self, person: str, repository: str, number: int) -> None:
        self._hub.as_user(person).merge(full(repository), number)

    def pulls(self, repository: str) -> list[PullSeen]:
        with self._hub.state.lock:
            return [
                PullSeen(
                    pull.number,
                    pull.head_ref,
                    "merged" if pull.merged_at else pull.state,
                    pull.head_sha,
                    tuple(label.name for label in pull.labels),
                )
                for pull in self._hub.repository(full(repository)).pulls
            ]

    def file(self, repository: str, branch: str, path: str) -> str:
        return file_in(self._hub.repository(full(repository)).path, branch, path)

    def seen(self, repository: str) -> object:
        with self._hub.state.lock:
            record = self._hub.repository(full(repository))
            issues = [
                (issue.title, issue.body, issue.state, [label.name for label in issue.labels], self._talk(issue))
                for issue in record.issues.values()
            ]
            checks = [(run.head_sha, run.name, run.conclusion, run.output) for run in record.check_runs.values()]
            return issues, checks, self.pulls(repository)

    def _talk(self, issue: Issue) -> object:
        said = [(each.user.login, each.body, [reaction.content for reaction in each.reactions]) for each in issue.comments]
        return said, [reaction.content for reaction in issue.reactions]

    def comments(self, repository: str, thread: Thread) -> list[tuple[str, str]]:
        with self._hub.state.lock:
            issue = self._hub.repository(full(repository)).issues[thread.number]
            return [(each.user.login, each.body) for each in issue.comments]

    def told(self, repository: str, thread: Thread) -> list[str]:
        place = (full(repository), thread.number)
        sent = [one.payload for one in self._hub.deliveries if one.event == "issue_comment" and not one.redelivery]
        by_bot = [payload for payload in sent if payload["sender"]["login"] == self.bot]
        here = [each for each in by_bot if (each["repository"]["full_name"], each["issue"]["number"]) == place]
        return [payload["comment"]["body"] for payload in here]

    def reactions(self, repository: str, thread: Thread, comment: int | None = None) -> list[tuple[str, str]]:
        with self._hub.state.lock:
            issue = self._hub.repository(full(repository)).issues[thread.number]
            place = issue if comment is None else next(each for each in issue.comments if each.id == comment)
            return [(each.user.login, each.content) for each in place.reactions]

    def checks(self, repository: str, commit: str) -> list[CheckSeen]:
        passed = {None: None, "success": True, "failure": False}
        with self._hub.state.lock:
            runs = [run for run in self._hub.repository(full(repository)).check_runs.values() if run.head_sha == commit]
            return [CheckSeen(run.name, passed[run.conclusion], run.output["title"], run.output["summary"]) for run in runs]

    def is_quiet(self) -> bool:
        return all(one.status != "pending" for one in self._hub.deliveries)

    def refused(self) -> list[str]:
        taken = {one.guid for one in self._hub.deliveries if one.ok}
        return [f"{one.event} {one.action}: {one.status}" for one in self._hub.deliveries if one.guid not in taken]

    def delivered_of(self, person: str) -> list[str]:
        said = [one for one in self._hub.deliveries if one.event == "issue_comment" or one.action == "labeled"]
        return [one.guid for one in said if one.payload["sender"]["login"] == person]

    def deliver_again(self, *, as_new: bool) -> None:
        for one in self._hub.deliveries:
            if as_new:
                body = json.dumps(one.payload).encode()
                headers = headers_of(replace(one, guid=str(uuid.uuid4())), body)
                assert httpx.post(one.url, content=body, headers=headers, trust_env=False).json() == {"status": "accepted"}
            else:
                with self._hub.state.lock:
                    self._hub.webhooks.redeliver(one.app, one.id)

    def secrets(self) -> Sequence[str]:
        as_git_sends_it = [base64.b64encode(f"x-access-token:{token}".encode()).decode() for token in self._hub.tokens]
        return [*self._hub.tokens, *as_git_sends_it, self._hub.app.client_secret]

    def kept_secrets(self) -> Sequence[str]:
        return [self._hub.app.pem.splitlines()[1], self._hub.app.webhook_secret]

    def require_narrow_tokens(self, pushed: Iterable[str]) -> None:
        """Whatever could change something, could do so in one repository; and what git fetched and pushed with, only that."""
        tokens = [token for token in self._hub.state.tokens.values() if token.installation]
        changing = [token for token in tokens if set(token.permissions.values()) != {"read"}]
        assert all(token.repository_ids and len(token.repository_ids) == 1 for token in changing)
        for repository in pushed:
            for service, level in (("upload", "read"), ("receive", "write")):
                path = f"/{full(repository)}.git/git-{service}-pack"
                used = [self._hub.state.tokens[each.token] for each in self._hub.log if each.path == path]
                assert used, f"nothing was asked of {path}"
                for token in used:
                    assert token.repository_ids == frozenset({self._hub.repository(full(repository)).id})
                    assert token.permissions == {"metadata": "read", "contents": level}


def _make_app(browser: httpx.Client, address: str, token: str) -> str:
    """The page that GitHub leads back to."""
    assert browser.get(address).status_code == 200
    offered = browser.post(address, data={"token": token}).text
    form = re.search(r'action="([^"]+)">\s*<input type="hidden" name="manifest" value="([^"]+)">', offered)
    assert form, offered
    target, manifest = map(html.unescape, form.groups())
    return browser.post(target, data={"manifest": manifest}).text
