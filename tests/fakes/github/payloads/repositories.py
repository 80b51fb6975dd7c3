"""Repositories, commits, branches, trees."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pygit2
from pygit2.enums import DeltaStatus

from tests.fakes.forge import gitstore
from tests.fakes.github.payloads.basics import user, when
from tests.fakes.github.records import JSON, Pull, Repository
from tests.fakes.github.state import State

_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_ZERO = ("forks", "forks_count", "stargazers_count", "watchers", "watchers_count")


def api_url(state: State, repository: Repository) -> str:
    return f"{state.api_url}/repos/{repository.full_name}"


def html_url(state: State, repository: Repository) -> str:
    return f"{state.url}/{repository.full_name}"


def repository(state: State, found: Repository) -> JSON:
    """As it stands in lists, pull requests and webhooks."""
    url, page = api_url(state, found), html_url(state, found)
    opened = sum(issue.state == "open" for issue in found.issues.values())
    return {
        "id": found.id,
        "node_id": found.node_id,
        "name": found.name,
        "full_name": found.full_name,
        "private": found.private,
        "owner": user(state, found.owner),
        "html_url": page,
        "description": found.description,
        "fork": found.fork,
        "url": url,
        **{name: url + tail for name, tail in _LINKS.items()},
        **dict.fromkeys(_ZERO, 0),
        "git_url": f"git://{page.partition('://')[2]}.git",
        "ssh_url": f"git@github.test:{found.full_name}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "mirror_url": None,
        "homepage": None,
        "size": found.size_kb,
        "language": max(found.languages, key=found.languages.__getitem__, default=None),
        "has_issues": True,
        "has_projects": True,
        "has_downloads": True,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "archived": found.archived,
        "disabled": False,
        "open_issues": opened,
        "open_issues_count": opened,
        "license": None,
        "allow_forking": True,
        "is_template": found.template,
        "web_commit_signoff_required": False,
        "topics": found.topics,
        "visibility": found.visibility,
        "default_branch": found.default_branch,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "pushed_at": when(found.pushed_at),
        "custom_properties": found.owner.properties.get(found.id, {}),
    }


def full_repository(state: State, found: Repository, *, role: str) -> JSON:
    """One repository's own answer, as whoever has `role` there sees it."""
    whole: JSON = {
        **repository(state, found),
        "permissions": permissions(role),
        "network_count": 0,
        "subscribers_count": 0,
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "allow_rebase_merge": True,
        "allow_auto_merge": found.allow_auto_merge,
        "delete_branch_on_merge": False,
    }
    if found.owner.type == "Organization":
        whole["organization"] = user(state, found.owner)
    if found.parent is not None:
        parent = repository(state, found.parent)
        whole |= {"parent": parent, "source": parent}
    return whole


def permissions(role: str) -> JSON:
    order = ("read", "triage", "write", "maintain", "admin")
    has = order.index(role) if role in order else -1
    return {name: has >= index for index, name in enumerate(("pull", "triage", "push", "maintain", "admin"))}


def simple_repository(found: Repository) -> JSON:
    """As installations list it in webhooks."""
    return {
        "id": found.id,
        "node_id": found.node_id,
        "name": found.name,
        "full_name": found.full_name,
        "private": found.private,
    }


def pull_reference(state: State, pull: Pull) -> JSON:
    """A pull request as it stands in a check run (pull-request-minimal)."""

    def side(ref: str, sha: str, of: Repository) -> JSON:
        return {"ref": ref, "sha": sha, "repo": {"id": of.id, "url": api_url(state, of), "name": of.name}}

    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{api_url(state, pull.repository)}/pulls/{pull.number}",
        "head": side(pull.head_ref, pull.head_sha, pull.head_repository),
        "base": side(pull.base_ref, pull.base_sha, pull.repository),
    }


def signed_at(signature: pygit2.Signature) -> datetime:
    return datetime.fromtimestamp(signature.time, timezone(timedelta(minutes=signature.offset)))


def _person(signature: pygit2.Signature) -> JSON:
    return {"name": signature.name, "email": signature.email, "date": when(signed_at(signature).astimezone(UTC))}


def verification(commit: pygit2.Commit) -> JSON:
    signature, payload = commit.gpg_signature
    if signature is None:
        return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    moment = when(signed_at(commit.committer).astimezone(UTC))
    text, signed = signature.decode(), payload.decode(errors="replace") if payload else None
    return {"verified": True, "reason": "valid", "signature": text, "payload": signed, "verified_at": moment}


def git_commit(state: State, found: Repository, commit: pygit2.Commit) -> JSON:
    """The git database's commit."""
    url = api_url(state, found)
    page = html_url(state, found)
    sha = str(commit.id)
    return {
        "sha": sha,
        "node_id": f"C_{sha}",
        "url": f"{url}/git/commits/{sha}",
        "html_url": f"{page}/commit/{sha}",
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        "message": commit.message.rstrip("\n"),
        "tree": {"sha": str(commit.tree_id), "url": f"{url}/git/trees/{commit.tree_id}"},
        "parents": [
            {"sha": str(parent), "url": f"{url}/git/commits/{parent}", "html_url": f"{page}/commit/{parent}"}
            for parent in commit.parent_ids
        ],
        "verification": verification(commit),
    }


def commit(state: State, found: Repository, commit: pygit2.Commit) -> JSON:
    """The commit as /commits has it."""
    url, sha = api_url(state, found), str(commit.id)
    plain = git_commit(state, found, commit)
    authored = _account(state, commit.author)
    committed = _account(state, commit.committer)
    return {
        "sha": sha,
        "node_id": plain["node_id"],
        "url": f"{url}/commits/{sha}",
        "html_url": plain["html_url"],
        "comments_url": f"{url}/commits/{sha}/comments",
        "author": authored,
        "committer": committed,
        "parents": plain["parents"],
        "commit": {
            "message": plain["message"],
            "author": plain["author"],
            "committer": plain["committer"],
            "tree": plain["tree"],
            "url": plain["url"],
            "comment_count": 0,
            "verification": plain["verification"],
        },
    }


def pushed_commit(state: State, found: Repository, commit: pygit2.Commit) -> JSON:
    """The commit as a push event has it."""

    def person(signature: pygit2.Signature) -> JSON:
        return {"name": signature.name, "email": signature.email}

    return {
        "id": str(commit.id),
        "tree_id": str(commit.tree_id),
        "distinct": True,
        "message": commit.message,
        "timestamp": signed_at(commit.committer).isoformat(),
        "url": f"{html_url(state, found)}/commit/{commit.id}",
        "author": person(commit.author),
        "committer": person(commit.committer),
        "added": [],
        "removed": [],
        "modified": [],
    }


def suite_commit(commit: pygit2.Commit) -> JSON:
    """The commit as a check suite has it (simple-commit)."""
    return {
        "id": str(commit.id),
        "tree_id": str(commit.tree_id),
        "message": commit.message,
        "timestamp": signed_at(commit.committer).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "author": {"name": commit.author.name, "email": commit.author.email},
        "committer": {"name": commit.committer.name, "email": commit.committer.email},
    }


def _account(state: State, signature: pygit2.Signature) -> JSON | None:
    """Whose commit it is, where the address is one of ours: ID+LOGIN@users.noreply.github.com."""
    login = signature.email.partition("@")[0].partition("+")[2]
    found = state.accounts.get(login.lower())
    return None if found is None else user(state, found)


def changed_files(state: State, found: Repository, base: str, head: str) -> list[JSON]:
    """The files of a pull request or comparison (diff-entry)."""
    return [_changed_file(state, found, patch, head) for patch in gitstore.changed_files(found, base, head)]


def _changed_file(state: State, found: Repository, patch: pygit2.Patch, head: str) -> JSON:
    path = patch.delta.new_file.path
    gone = patch.delta.status is DeltaStatus.DELETED
    _, additions, deletions = patch.line_stats
    return {
        "sha": str((patch.delta.old_file if gone else patch.delta.new_file).id),
        "filename": path,
        "status": gitstore.STATUSES.get(patch.delta.status, "modified"),
        "additions": additions,
        "deletions": deletions,
        "changes": additions + deletions,
        "blob_url": f"{html_url(state, found)}/blob/{head}/{path}",
        "raw_url": f"{html_url(state, found)}/raw/{head}/{path}",
        "contents_url": f"{api_url(state, found)}/contents/{path}?ref={head}",
        "patch": patch.text or "",
    }


def file_content(state: State, found: Repository, path: str, blob: pygit2.Blob, ref: str, *, listed: bool = False) -> JSON:
    """A file as /contents has it; `listed` in its folder, without the content."""
    sha = str(blob.id)
    url = f"{api_url(state, found)}/contents/{path}?ref={ref}"
    git_url = f"{api_url(state, found)}/git/blobs/{sha}"
    page = f"{html_url(state, found)}/blob/{ref}/{path}"
    told: JSON = {
        "type": "file",
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": blob.size,
        "url": url,
        "html_url": page,
        "git_url": git_url,
        "download_url": f"{state.url}/raw/{found.full_name}/{ref}/{path}",
        "_links": {"self": url, "git": git_url, "html": page},
    }
    return told if listed else {**told, "encoding": "base64", "content": base64.encodebytes(blob.data).decode()}


def folder_entry(state: State, found: Repository, path: str, sha: str, ref: str) -> JSON:
    url = f"{api_url(state, found)}/contents/{path}?ref={ref}"
    git_url = f"{api_url(state, found)}/git/trees/{sha}"
    page = f"{html_url(state, found)}/tree/{ref}/{path}"
    return {
        "type": "dir",
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": 0,
        "url": url,
        "html_url": page,
        "git_url": git_url,
        "download_url": None,
        "_links": {"self": url, "git": git_url, "html": page},
    }


def reference(state: State, found: Repository, name: str, sha: str) -> JSON:
    """`name` is the whole one: refs/heads/main."""
    return {
        "ref": name,
        "node_id": f"REF_{found.id}_{name}",
        "url": f"{api_url(state, found)}/git/{name}",
        "object": {"type": "commit", "sha": sha, "url": f"{api_url(state, found)}/git/commits/{sha}"},
    }
