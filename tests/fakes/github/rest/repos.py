"""/repos: repositories themselves, their branches, rules, forks, collaborators, commits."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github.payloads import basics
from tests.fakes.github.payloads import repositories as shapes
from tests.fakes.github.records import JSON, Account, Protection, Repository
from tests.fakes.github.rest.routing import Call, Reply, on


def _role(call: Call, found: Repository) -> str:
    if call.actor.kind == "installation":
        return access.granted(call.actor, found, "contents")
    return access.role(found, call.by) if call.actor.kind == "user" else "read"


@on("GET", "/repos/<owner>/<repo>", "metadata:read")
def get_repository(call: Call, found: Repository) -> Reply:
    return Reply(200, shapes.full_repository(call.state, found, role=_role(call, found)))


@on("PATCH", "/repos/<owner>/<repo>", "administration:write", person="admin")
def update_repository(call: Call, found: Repository) -> Reply:
    if name := call.body.get("name"):
        changes.rename(call.state, found, name, by=call.by)
    if "archived" in call.body:
        changes.set_archived(call.state, found, call.body["archived"], by=call.by)
    if edited := call.given("description", "default_branch"):
        changes.edit(call.state, found, by=call.by, **edited)
    found.allow_auto_merge = call.body.get("allow_auto_merge", found.allow_auto_merge)
    return Reply(200, shapes.full_repository(call.state, found, role="admin"))


@on("DELETE", "/repos/<owner>/<repo>", "administration:write", person="admin")
def delete_repository(call: Call, found: Repository) -> Reply:
    changes.delete(call.state, found, by=call.by)
    return Reply(204)


@on("GET", "/repos/<owner>/<repo>/languages", "metadata:read")
def list_languages(call: Call, found: Repository) -> Reply:
    return Reply(200, found.languages)


@on("GET", "/repos/<owner>/<repo>/topics", "metadata:read")
def list_topics(call: Call, found: Repository) -> Reply:
    return Reply(200, {"names": found.topics})


@on("GET", "/repos/<owner>/<repo>/branches", "contents:read")
def list_branches(call: Call, found: Repository) -> Reply:
    branches = sorted(gitstore.branches(found).items())

    def build(item: tuple[str, str]) -> JSON:
        name, sha = item
        url = f"{shapes.api_url(call.state, found)}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": bool(_rules(found, name))}

    return call.page(branches, build)


def _rules(found: Repository, branch: str) -> list[Protection]:
    return [rule for rule in found.protections if rule.fits(branch)]


@on("GET", "/repos/<owner>/<repo>/branches/<path:branch>/protection", "administration:read", person="admin")
def get_protection(call: Call, found: Repository, branch: str) -> Reply:
    _branch(found, branch)
    if not (rules := _rules(found, branch)):
        raise Refused(404, "Branch not protected")
    return Reply(200, _protection(call, found, branch, rules))


def _protection(call: Call, found: Repository, branch: str, rules: list[Protection]) -> JSON:
    url = f"{shapes.api_url(call.state, found)}/branches/{branch}/protection"
    return {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": False},
        "required_pull_request_reviews": {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": False,
            "require_code_owner_reviews": False,
            "required_approving_review_count": max(rule.reviews for rule in rules),
        },
    }


@on("GET", "/repos/<owner>/<repo>/branches/<path:branch>", "contents:read")
def get_branch(call: Call, found: Repository, branch: str) -> Reply:
    sha, rules = _branch(found, branch), _rules(found, branch)
    url = f"{shapes.api_url(call.state, found)}/branches/{branch}"
    page = f"{shapes.html_url(call.state, found)}/tree/{branch}"
    whole = {
        "name": branch,
        "commit": shapes.commit(call.state, found, gitstore.commit(found, sha)),
        "protected": bool(rules),
        "protection": {"enabled": bool(rules)},
        "protection_url": f"{url}/protection",
        "_links": {"self": url, "html": page},
    }
    return Reply(200, whole)


def _branch(found: Repository, branch: str) -> str:
    sha = gitstore.head(found, branch)
    if sha is None:
        raise Refused(404, "Branch not found")
    return sha


def _ruleset(call: Call, found: Repository, rule: Protection) -> JSON:
    return {
        "id": rule.id,
        "name": rule.pattern,
        "target": "branch",
        "source_type": "Repository",
        "source": found.full_name,
        "enforcement": "active",
        "node_id": f"RRS_{rule.id}",
        "created_at": basics.when(found.created_at),
        "updated_at": basics.when(found.created_at),
    }


@on("GET", "/repos/<owner>/<repo>/rulesets", "metadata:read")
def list_rulesets(call: Call, found: Repository) -> Reply:
    return call.page(found.protections, lambda rule: _ruleset(call, found, rule))


@on("GET", "/repos/<owner>/<repo>/rulesets/<int:number>", "metadata:read")
def get_ruleset(call: Call, found: Repository, number: int) -> Reply:
    for rule in found.protections:
        if rule.id == number:
            conditions = {"ref_name": {"include": [f"refs/heads/{rule.pattern}"], "exclude": []}}
            return Reply(200, {**_ruleset(call, found, rule), "conditions": conditions, "rules": _kinds(rule)})
    raise not_found()


@on("GET", "/repos/<owner>/<repo>/rules/branches/<path:branch>", "metadata:read")
def rules_for_branch(call: Call, found: Repository, branch: str) -> Reply:
    listed = [(rule, kind) for rule in _rules(found, branch) for kind in _kinds(rule)]

    def build(item: tuple[Protection, JSON]) -> JSON:
        rule, kind = item
        return {**kind, "ruleset_source_type": "Repository", "ruleset_source": found.full_name, "ruleset_id": rule.id}

    return call.page(listed, build)


def _kinds(rule: Protection) -> list[JSON]:
    return [{"type": "creation"}, {"type": "update"}, {"type": "deletion"}]


@on("POST", "/repos/<owner>/<repo>/forks", "contents:read", person="read")
def create_fork(call: Call, source: Repository) -> Reply:
    asked = call.body or {}
    owner = call.state.organization(asked["organization"]) if asked.get("organization") else call.by
    _require_making(call, owner)
    if owner is source.owner and not asked.get("name"):
        raise Refused(403, "Name already exists on this account")
    only = bool(asked.get("default_branch_only"))
    made = changes.fork(call.state, source, owner, by=call.by, name=asked.get("name"), default_branch_only=only)
    return Reply(202, shapes.full_repository(call.state, made, role="admin"))


def _require_making(call: Call, owner: Account) -> None:
    """A person makes repositories of their own, and in their organizations; an App where it has all of them to administer."""
    installation, token = call.actor.installation, call.actor.token
    if installation is not None and token is not None:
        whole = installation.account is owner and installation.repository_ids is None and token.repository_ids is None
        if not whole or token.permissions.get("administration") != "write":
            raise Refused(403, access.BEYOND)
    elif owner is not call.by and call.by.login.lower() not in owner.members:
        raise Refused(403, "You do not have permission to create repositories in this organization.")


@on("GET", "/repos/<owner>/<repo>/forks", "metadata:read")
def list_forks(call: Call, found: Repository) -> Reply:
    forks = [each for each in call.state.repositories.values() if each.parent is found and access.sees(call.actor, each)]
    return call.page(forks, lambda each: shapes.repository(call.state, each))


@on("GET", "/repos/<owner>/<repo>/collaborators/<login>/permission", "metadata:read")
def collaborator_permission(call: Call, found: Repository, login: str) -> Reply:
    person = call.state.account(login)
    role = access.role(found, person)
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    permissions = shapes.permissions(role)
    who = {**basics.user(call.state, person), "permissions": permissions, "role_name": role}
    return Reply(200, {"permission": coarse, "role_name": role, "user": who})


@on("GET", "/repos/<owner>/<repo>/collaborators/<login>", "metadata:read", person="write")
def is_collaborator(call: Call, found: Repository, login: str) -> Reply:
    if login.lower() not in found.roles and login.lower() not in found.owner.members:
        raise not_found()
    return Reply(204)


@on("GET", "/repos/<owner>/<repo>/collaborators", "metadata:read", person="write")
def list_collaborators(call: Call, found: Repository) -> Reply:
    people = [call.state.account(login) for login in found.roles if not login.startswith("team:")]

    def build(person: Account) -> JSON:
        role = access.role(found, person)
        return {**basics.user(call.state, person), "permissions": shapes.permissions(role), "role_name": role}

    return call.page(people, build)


@on("GET", "/repos/<owner>/<repo>/commits", "contents:read")
def list_commits(call: Call, found: Repository) -> Reply:
    tip = gitstore.commit(found, call.query.get("sha", found.default_branch))
    walked = list(gitstore.opened(found).walk(tip.id))
    return call.page(walked, lambda each: shapes.commit(call.state, found, each))


@on("GET", "/repos/<owner>/<repo>/compare/<path:basehead>", "contents:read")
def compare(call: Call, found: Repository, basehead: str) -> Reply:
    """`basehead` is BASE...HEAD, both in this repository."""
    first, _, second = basehead.partition("...")
    base, head = gitstore.commit(found, first), gitstore.commit(found, second)
    middle = gitstore.merge_base(found, str(base.id), str(head.id))
    if middle is None:
        raise Refused(404, f"No common ancestor between {first} and {second}.")
    ahead = gitstore.between(found, str(base.id), str(head.id))
    behind = gitstore.between(found, str(head.id), str(base.id))
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    url, page = (
        f"{shapes.api_url(call.state, found)}/compare/{basehead}",
        f"{shapes.html_url(call.state, found)}/compare/{basehead}",
    )
    whole = {
        "url": url,
        "html_url": page,
        "permalink_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "base_commit": shapes.commit(call.state, found, base),
        "merge_base_commit": shapes.commit(call.state, found, gitstore.commit(found, middle)),
        "status": status[bool(ahead), bool(behind)],
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [shapes.commit(call.state, found, each) for each in ahead],
        "files": shapes.changed_files(call.state, found, str(base.id), str(head.id)),
    }
    return Reply(200, whole)


@on("GET", "/repos/<owner>/<repo>/commits/<path:ref>", "contents:read")
def get_commit(call: Call, found: Repository, ref: str) -> Reply:
    commit = gitstore.commit(found, ref)
    return Reply(200, shapes.commit(call.state, found, commit))
