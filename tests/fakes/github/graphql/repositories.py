"""Query, organizations, repositories, git objects."""

from __future__ import annotations

from typing import Any

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.graphql.fields import Context, connection, field, matching, reads
from tests.fakes.github.payloads.basics import when
from tests.fakes.github.payloads.repositories import html_url, signed_at, verification
from tests.fakes.github.records import JSON, Account, AccountType, Issue, Repository

TRUNCATED_AT = 512_000
_KINDS = {pygit2.Blob: "blob", pygit2.Tree: "tree"}
_MERGE_METHOD = "MERGE"


@field("Query", "organization")
def organization(_: Any, context: Context, login: str) -> Account:
    try:
        return context.state.organization(login)
    except Refused:
        raise Refused(404, f"Could not resolve to an Organization with the login of '{login}'.") from None


@field("Query", "repositoryOwner")
def repository_owner(_: Any, context: Context, login: str) -> Account | None:
    return context.state.accounts.get(login.lower())


@field("Query", "repository")
def repository(_: Any, context: Context, owner: str, name: str, followRenames: bool = True) -> Repository:
    full_name = f"{owner}/{name}"
    found = context.state.by_name.get(full_name.lower()) or (context.state.moved(full_name) if followRenames else None)
    if found is None or not access.sees(context.actor, found):
        raise Refused(404, f"Could not resolve to a Repository with the name '{full_name}'.")
    return found


@field("Query", "viewer")
def viewer(_: Any, context: Context) -> Account:
    return context.actor.name


@field("Query", "node")
def node(_: Any, context: Context, id: str) -> Any:
    for found in context.state.repositories.values():
        records: list[Repository | Issue] = [found, *found.issues.values()]
        for record in records:
            if record.node_id == id:
                context.seen(found)
                return record
    raise Refused(404, f"Could not resolve to a node with the global id of '{id}'.")


@field("Query", "nodes")
def nodes(_: Any, context: Context, ids: list[str]) -> list[Any]:
    """A node that is not there is null here, and its error does not reach the others."""
    return [_node_or_error(context, each) for each in ids]


def _node_or_error(context: Context, id: str) -> Any:
    try:
        return node(None, context, id)
    except Refused as refused:
        return refused


@field("Query", "rateLimit")
def rate_limit(_: Any, context: Context, **_dry: bool) -> JSON:
    figures = context.limits.figures(context.actor.key)["graphql"]
    return {**figures, "cost": 1, "nodeCount": 0, "resetAt": figures["reset"]}


for _type in ("Organization", "User", "Bot"):
    reads(_type, id="node_id", databaseId="id", name="login")


@field("Bot", "login")
def bot_login(source: Account, _: Context) -> str:
    """GraphQL has the App's slug here, where REST has slug[bot]."""
    return source.login.removesuffix("[bot]")


@field("Organization", "url")
@field("User", "url")
@field("Bot", "url")
def account_url(source: Account, context: Context) -> str:
    return f"{context.state.url}/{source.login}"


@field("Organization", "repositories")
@field("User", "repositories")
def repositories(
    source: Account,
    context: Context,
    *,
    isArchived: bool | None = None,
    isFork: bool | None = None,
    visibility: str | None = None,
    orderBy: JSON | None = None,
    **page: Any,
) -> JSON:
    found: Any = [each for each in context.state.repositories_of(source) if access.sees(context.actor, each)]
    found = matching(found, lambda each: each.archived, isArchived)
    found = matching(found, lambda each: each.fork, isFork)
    found = matching(found, lambda each: each.visibility.upper(), visibility)
    orders = {"CREATED_AT": lambda each: each.created_at, "UPDATED_AT": lambda each: each.updated_at}
    orders["PUSHED_AT"] = lambda each: each.pushed_at
    order = orderBy or {"field": "NAME", "direction": "ASC"}
    found = sorted(found, key=orders.get(order["field"], lambda each: each.name.lower()), reverse=order["direction"] == "DESC")
    return connection(found, **page)


reads(
    "Repository", id="node_id", databaseId="id", nameWithOwner="full_name", isArchived="archived", isFork="fork",
    isTemplate="template", isPrivate="private", diskUsage="size_kb", autoMergeAllowed="allow_auto_merge",
)  # fmt: skip


@field("Repository", "parent")
def parent(source: Repository, context: Context) -> Repository | None:
    return source.parent if source.parent is not None and access.sees(context.actor, source.parent) else None


@field("Repository", "isDisabled")
@field("Repository", "isLocked")
def never(_: Repository, __: Context) -> bool:
    return False


@field("Repository", "lockReason")
def lock_reason(_: Repository, __: Context) -> None:
    return None


@field("Repository", "viewerDefaultMergeMethod")
def merge_method(_: Repository, __: Context) -> str:
    return _MERGE_METHOD


@field("Repository", "mergeCommitAllowed")
@field("Repository", "squashMergeAllowed")
@field("Repository", "rebaseMergeAllowed")
def always(_: Repository, __: Context) -> bool:
    return True


@field("Repository", "isEmpty")
def is_empty(source: Repository, _: Context) -> bool:
    return gitstore.is_empty(source)


@field("Repository", "visibility")
def visibility_of(source: Repository, _: Context) -> str:
    return source.visibility.upper()


@field("Repository", "url")
def repository_url(source: Repository, context: Context) -> str:
    return html_url(context.state, source)


@field("Repository", "pushedAt")
def pushed_at(source: Repository, _: Context) -> str | None:
    return when(source.pushed_at)


@field("Repository", "primaryLanguage")
def primary_language(source: Repository, _: Context) -> JSON | None:
    largest = max(source.languages, key=source.languages.__getitem__, default=None)
    return None if largest is None else {"name": largest, "color": None}


@field("Repository", "languages")
def languages(source: Repository, _: Context, **page: Any) -> JSON:
    largest_first = sorted(source.languages.items(), key=lambda item: -item[1])
    told = connection([{"name": name, "color": None} for name, _size in largest_first], **page)
    sizes = dict(largest_first)
    edges = [{**edge, "size": sizes[edge["node"]["name"]]} for edge in told["edges"]]
    return {**told, "edges": edges, "totalSize": sum(sizes.values())}


@field("Repository", "repositoryTopics")
def topics(source: Repository, _: Context, **page: Any) -> JSON:
    return connection([{"topic": {"name": name}} for name in source.topics], **page)


@field("Repository", "defaultBranchRef")
def default_branch(source: Repository, context: Context) -> JSON | None:
    return _ref(source, context, f"refs/heads/{source.default_branch}")


@field("Repository", "ref")
def ref(source: Repository, context: Context, qualifiedName: str) -> JSON | None:
    names = (
        [qualifiedName] if qualifiedName.startswith("refs/") else [f"refs/heads/{qualifiedName}", f"refs/tags/{qualifiedName}"]
    )
    return next(filter(None, (_ref(source, context, name) for name in names)), None)


def _ref(source: Repository, context: Context, name: str) -> JSON | None:
    _require_contents(source, context)
    sha = gitstore.refs(source).get(name)
    if sha is None:
        return None
    prefix = "refs/tags/" if name.startswith("refs/tags/") else "refs/heads/"
    short = name.removeprefix(prefix)
    target = gitstore.commit(source, sha)
    return {"id": f"REF_{source.id}_{name}", "name": short, "prefix": prefix, "target": target, "repository": source}


def _require_contents(source: Repository, context: Context) -> None:
    access.require(context.actor, source, ("contents",), "read")


@field("Repository", "object")
def git_object(source: Repository, context: Context, expression: str | None = None, oid: str | None = None) -> Any:
    """What HEAD:path, BRANCH:path or an id stands for; null where there is nothing."""
    _require_contents(source, context)
    try:
        return gitstore.opened(source).revparse_single(expression or oid or "HEAD")
    except (KeyError, ValueError, pygit2.GitError):
        return None


for _type in ("Commit", "Blob", "Tree"):

    @field(_type, "oid")
    def _oid(source: pygit2.Object, _: Context) -> str:
        return str(source.id)

    @field(_type, "abbreviatedOid")
    def _abbreviated(source: pygit2.Object, _: Context) -> str:
        return str(source.id)[:7]


reads("Blob", byteSize="size", isBinary="is_binary")


@field("Blob", "isTruncated")
def is_truncated(source: pygit2.Blob, _: Context) -> bool:
    return source.size > TRUNCATED_AT


@field("Blob", "text")
def text(source: pygit2.Blob, _: Context) -> str | None:
    return None if source.is_binary else source.data[:TRUNCATED_AT].decode(errors="replace")


@field("Tree", "entries")
def entries(source: pygit2.Tree, _: Context) -> list[JSON]:
    return [_entry(each, each.name or "") for each in source]


def _entry(found: pygit2.Object, path: str) -> JSON:
    shown = None if found.type_str == "commit" else found
    return {
        "name": found.name,
        "path": path,
        "mode": found.filemode,
        "type": found.type_str,
        "oid": str(found.id),
        "size": found.size if isinstance(found, pygit2.Blob) else 0,
        "object": shown,
    }


@field("Commit", "parents")
def parents(source: pygit2.Commit, _: Context, **page: Any) -> JSON:
    return connection(source.parents, **page)


@field("Commit", "file")
def file(source: pygit2.Commit, _: Context, path: str) -> JSON | None:
    try:
        return _entry(source.tree[path], path)
    except KeyError:
        return None


@field("Commit", "committedDate")
def committed_date(source: pygit2.Commit, _: Context) -> str:
    return signed_at(source.committer).isoformat()


@field("Commit", "messageHeadline")
def headline(source: pygit2.Commit, _: Context) -> str:
    return source.message.partition("\n")[0]


@field("Commit", "author")
def author(source: pygit2.Commit, context: Context) -> JSON:
    login = source.author.email.partition("@")[0].partition("+")[2]
    account = context.state.accounts.get(login.lower())
    person = account if account is not None and account.type is AccountType.USER else None
    return {"name": source.author.name, "email": source.author.email, "user": person}


@field("Commit", "signature")
def signature(source: pygit2.Commit, _: Context) -> JSON | None:
    found = verification(source)
    if not found["verified"]:
        return None
    return {
        "__typename": "GpgSignature",
        "isValid": True,
        "state": "VALID",
        "wasSignedByGitHub": True,
        "signature": found["signature"],
        "payload": found["payload"],
        "email": source.committer.email,
        "verifiedAt": found["verified_at"],
    }


def find(context: Context, full_name: str) -> Repository:
    found = context.state.by_name.get(full_name.lower())
    if found is None:
        raise not_found()
    return context.seen(found)
