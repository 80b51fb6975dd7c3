"""Every operation of the fake, held against GitHub's own description by the hub's guard."""

from __future__ import annotations

import base64
from typing import Any

from tests.contract.conftest import Ask, app_token
from tests.fakes.github import FakeGitHub, Installation, rest

ONE, TWO = "/repos/acme/one", "/repos/acme/two"


def ok(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def not_asked(hub: FakeGitHub) -> set[str]:
    """The operations of the fake that no request has reached."""
    known, asked = rest.routes(), set()
    paths = known.bind("hub")
    for exchange in hub.log:
        if exchange.path.startswith("/api/v3"):
            route, _ = paths.match(exchange.path.removeprefix("/api/v3"), exchange.method)
            asked.add(f"{route.method} {route.path}")
    return {f"{rule.endpoint.method} {rule.endpoint.path}" for rule in known.iter_rules()} - asked


def apps(hub: FakeGitHub, ask: Ask, installation: Installation) -> None:
    mine = app_token(hub)
    ok(ask("GET", "/app", token=mine))
    ok(ask("GET", "/app/installations", token=mine))
    ok(ask("GET", f"/app/installations/{installation.id}", token=mine))
    for path in ("/orgs/acme/installation", "/users/acme/installation", f"{ONE}/installation"):
        ok(ask("GET", path, token=mine))
    narrowed = {"repositories": ["one"], "permissions": {"contents": "write"}}
    made = ok(ask("POST", f"/app/installations/{installation.id}/access_tokens", narrowed, token=mine), 201)
    ok(ask("GET", "/installation/repositories", token=made["token"]))
    ok(ask("DELETE", "/installation/token", token=made["token"]), 204)
    ok(ask("GET", "/app/hook/config", token=mine))
    ok(ask("PATCH", "/app/hook/config", {"url": "http://127.0.0.1:1/gone"}, token=mine))
    hub.as_user("mia").open_issue("acme/one", "Say something")
    hub.drain()
    failed = ok(ask("GET", "/app/hook/deliveries?per_page=1&status=failure", token=mine))[0]
    ok(ask("GET", f"/app/hook/deliveries/{failed['id']}", token=mine))
    ok(ask("POST", f"/app/hook/deliveries/{failed['id']}/attempts", token=mine), 202)


def leaving(hub: FakeGitHub, ask: Ask, installation: Installation) -> None:
    mine = app_token(hub)
    ok(ask("PUT", f"/app/installations/{installation.id}/suspended", token=mine), 204)
    ok(ask("DELETE", f"/app/installations/{installation.id}/suspended", token=mine), 204)
    ok(ask("DELETE", f"/app/installations/{installation.id}", token=mine), 204)


def organization(hub: FakeGitHub, ask: Ask, ada: str) -> None:
    hub.add_team("acme", "reviewers", ["mia"])
    for path in (
        "/orgs/acme", "/orgs/acme/repos", "/orgs/acme/properties/values", "/orgs/acme/memberships/ada", "/orgs/acme/members",
        "/orgs/acme/teams",
        "/orgs/acme/teams/reviewers", "/orgs/acme/teams/reviewers/members", "/orgs/acme/teams/reviewers/memberships/mia",
        "/users/mia", "/meta", "/rate_limit", f"{TWO}/properties/values",
    ):  # fmt: skip
        ok(ask("GET", path))
    ok(ask("GET", "/orgs/acme/members/ada"), 204)
    ok(ask("GET", "/user", token=ada))


def repositories(hub: FakeGitHub, ask: Ask, ada: str) -> None:
    hub.protect("acme/two", "main", reviews=1)
    rule = hub.repository("acme/two").protections[0].id
    ok(ask("POST", "/orgs/acme/repos", {"name": "four", "private": True, "auto_init": True}, token=ada), 201)
    ok(ask("PATCH", "/repos/acme/four", {"description": "new", "name": "vier", "archived": False}, token=ada))
    ok(ask("POST", f"{ONE}/forks", {}, token=hub.personal_token("mia")), 202)
    ok(ask("DELETE", "/repos/acme/vier", token=ada), 204)
    for path in (
        "", "/languages", "/topics", "/branches", "/branches/main", "/forks", "/collaborators/mia/permission",
        "/collaborators", "/commits", "/commits/main",
    ):  # fmt: skip
        ok(ask("GET", ONE + path))
    ok(ask("GET", f"{ONE}/collaborators/mia"), 204)
    ok(ask("GET", f"{TWO}/branches/main/protection", token=ada))
    for path in ("/rulesets", f"/rulesets/{rule}", "/rules/branches/main"):
        ok(ask("GET", TWO + path))


def files(hub: FakeGitHub, ask: Ask) -> None:
    content = base64.b64encode(b"new\n").decode()
    made = ok(ask("PUT", f"{ONE}/contents/docs/new.md", {"message": "Add", "content": content}), 201)
    sha = made["content"]["sha"]
    ok(ask("PUT", f"{ONE}/contents/docs/new.md", {"message": "Again", "content": content, "sha": sha}))
    ok(ask("DELETE", f"{ONE}/contents/docs/new.md", {"message": "Remove", "sha": sha}))
    for path in ("/contents/", "/contents/src", "/contents/src/a.py", "/readme"):
        ok(ask("GET", ONE + path))


def git_data(hub: FakeGitHub, ask: Ask) -> None:
    blob = ok(ask("POST", f"{ONE}/git/blobs", {"content": "b = 2\n"}), 201)["sha"]
    ok(ask("GET", f"{ONE}/git/blobs/{blob}"))
    main = ok(ask("GET", f"{ONE}/git/ref/heads/main"))["object"]["sha"]
    base = ok(ask("GET", f"{ONE}/git/commits/{main}"))["tree"]["sha"]
    entry = {"path": "src/b.py", "mode": "100644", "type": "blob", "sha": blob}
    tree = ok(ask("POST", f"{ONE}/git/trees", {"base_tree": base, "tree": [entry]}), 201)["sha"]
    ok(ask("GET", f"{ONE}/git/trees/{tree}?recursive=1"))
    commit = ok(ask("POST", f"{ONE}/git/commits", {"message": "B", "tree": tree, "parents": [main]}), 201)["sha"]
    ok(ask("POST", f"{ONE}/git/refs", {"ref": "refs/heads/bot/b", "sha": main}), 201)
    ok(ask("PATCH", f"{ONE}/git/refs/heads/bot/b", {"sha": commit}))
    assert len(ok(ask("GET", f"{ONE}/git/matching-refs/heads/bot"))) == 1
    ok(ask("GET", f"{ONE}/compare/main...bot/b"))
    ok(ask("POST", f"{ONE}/git/refs", {"ref": "refs/heads/gone", "sha": main}), 201)
    ok(ask("DELETE", f"{ONE}/git/refs/heads/gone"), 204)


def issues(hub: FakeGitHub, ask: Ask) -> None:
    number = ok(ask("POST", f"{ONE}/issues", {"title": "Broken", "labels": ["bug"]}), 201)["number"]
    here = f"{ONE}/issues/{number}"
    ok(ask("PATCH", here, {"title": "Mended", "labels": ["bug", "ready"], "state": "closed"}))
    comment = ok(ask("POST", f"{here}/comments", {"body": "Look"}), 201)["id"]
    ok(ask("PATCH", f"{ONE}/issues/comments/{comment}", {"body": "Look again"}))
    reactions = f"{ONE}/issues/comments/{comment}/reactions"
    ok(ask("POST", reactions, {"content": "eyes"}), 201)
    ok(ask("POST", reactions, {"content": "eyes"}))
    ok(ask("POST", f"{here}/reactions", {"content": "rocket"}), 201)
    ok(ask("POST", f"{here}/labels", {"labels": ["one", "a/b"]}))
    ok(ask("PUT", f"{here}/labels", {"labels": ["one", "a/b"]}))
    ok(ask("DELETE", f"{here}/labels/a%2Fb"))
    ok(ask("POST", f"{here}/assignees", {"assignees": ["mia"]}), 201)
    ok(ask("POST", f"{ONE}/labels", {"name": "whimbrel", "color": "abcdef", "description": "bot"}), 201)
    for path in ("", "/comments", "/labels", "/reactions"):
        ok(ask("GET", here + path))
    for path in ("/issues?state=all", "/labels", "/labels/bug", "/issues/comments", f"/issues/comments/{comment}"):
        ok(ask("GET", ONE + path))
    ok(ask("GET", reactions))
    ok(ask("DELETE", f"{ONE}/issues/comments/{comment}"), 204)


def pulls(hub: FakeGitHub, ask: Ask) -> None:
    asked = {"title": "B", "head": "bot/b", "base": "main", "body": "Text", "draft": False}
    number = ok(ask("POST", f"{ONE}/pulls", asked), 201)["number"]
    here = f"{ONE}/pulls/{number}"
    ok(ask("PATCH", here, {"title": "C", "body": "More"}))
    ok(ask("POST", f"{here}/requested_reviewers", {"reviewers": ["mia"], "team_reviewers": ["reviewers"]}), 201)
    ok(ask("GET", f"{here}/requested_reviewers"))
    hub.as_user("mia").review("acme/one", number, "REQUEST_CHANGES", "Please")
    ok(ask("POST", f"{here}/reviews", {"body": "Noted", "event": "COMMENT"}))
    head = ok(ask("GET", here))["head"]["sha"]
    on_line = {"body": "Here", "path": "src/b.py", "line": 1, "side": "RIGHT", "commit_id": head}
    comment = ok(ask("POST", f"{here}/comments", on_line), 201)["id"]
    ok(ask("POST", f"{here}/comments/{comment}/replies", {"body": "Yes"}), 201)
    ok(ask("PATCH", f"{ONE}/pulls/comments/{comment}", {"body": "There"}))
    ok(ask("GET", f"{ONE}/pulls/comments/{comment}"))
    ok(ask("POST", f"{ONE}/pulls/comments/{comment}/reactions", {"content": "eyes"}), 201)
    ok(ask("GET", f"{ONE}/pulls/comments/{comment}/reactions"))
    for path in ("/commits", "/files", "/reviews", "/comments"):
        ok(ask("GET", here + path))
    assert len(ok(ask("GET", f"{ONE}/pulls?state=all&head=acme:bot/b"))) == 1
    hub.as_user("mia").push("acme/one", "main", {"c.py": "c = 3\n"})
    ok(ask("PUT", f"{here}/update-branch", {}), 202)


def checks_and_merge(hub: FakeGitHub, ask: Ask, ada: str) -> None:
    pull = ok(ask("GET", f"{ONE}/pulls"))[0]
    head, number = pull["head"]["sha"], pull["number"]
    begun = {"name": "whimbrel", "head_sha": head, "status": "in_progress"}
    run = ok(ask("POST", f"{ONE}/check-runs", begun), 201)["id"]
    output = {"title": "Fine", "summary": "All of it"}
    ok(ask("PATCH", f"{ONE}/check-runs/{run}", {"status": "completed", "conclusion": "success", "output": output}))
    ok(ask("GET", f"{ONE}/check-runs/{run}"))
    ok(ask("POST", f"{ONE}/statuses/{head}", {"state": "success", "context": "ci"}, token=ada), 201)
    for path in ("check-runs", "statuses", "status"):
        ok(ask("GET", f"{ONE}/commits/{head}/{path}"))
    ok(ask("PUT", f"{ONE}/pulls/{number}/merge", {"merge_method": "squash", "sha": head}))
    ok(ask("GET", f"{ONE}/pulls/{number}/merge"), 204)


def test_every_operation_is_as_github_describes_it(hub: FakeGitHub, ask: Ask, installation: Installation) -> None:
    ada = hub.personal_token("ada")
    apps(hub, ask, installation)
    organization(hub, ask, ada)
    repositories(hub, ask, ada)
    files(hub, ask)
    git_data(hub, ask)
    issues(hub, ask)
    pulls(hub, ask)
    checks_and_merge(hub, ask, ada)
    leaving(hub, ask, installation)
    assert not_asked(hub) == {"POST /app-manifests/<code>/conversions"}
