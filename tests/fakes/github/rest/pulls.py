"""/repos/…/pulls."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.changes import issues
from tests.fakes.github.changes import pulls as changes
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.payloads import repositories
from tests.fakes.github.payloads.basics import team, user
from tests.fakes.github.records import JSON, Pull, Repository
from tests.fakes.github.rest.issues import own_comment, react, reactions_page
from tests.fakes.github.rest.routing import Call, Reply, on
from tests.fakes.github.state import invalid

PULLS = "/repos/<owner>/<repo>/pulls"
READ, WRITE = "pull_requests:read", "pull_requests:write"


@on("GET", PULLS, READ)
def list_pulls(call: Call, found: Repository) -> Reply:
    state, asked = call.query.get("state", "open"), call.query
    chosen = [each for each in found.pulls if state in ("all", each.state)]
    if head := asked.get("head"):
        chosen = [each for each in chosen if _is_from(each, head)]
    if base := asked.get("base"):
        chosen = [each for each in chosen if each.base_ref == base]
    oldest_first = asked.get("direction", "desc" if asked.get("sort", "created") == "created" else "asc") == "asc"
    return call.page(chosen if oldest_first else chosen[::-1], lambda each: shapes.pull(call.state, each))


def _is_from(pull: Pull, head: str) -> bool:
    """GitHub takes no notice of a `head` without its owner: then every pull request fits."""
    owner, colon, branch = head.partition(":")
    return not colon or (pull.head_repository.owner.login.lower(), pull.head_ref) == (owner.lower(), branch)


@on("POST", PULLS, WRITE, person="read", content=True)
def create_pull(call: Call, found: Repository) -> Reply:
    source, head = _head(call, found, call.required("head"))
    made = changes.open_pull(
        call.state, found, call.by,
        title=call.required("title"), head=head, base=call.required("base"), body=call.body.get("body"),
        draft=bool(call.body.get("draft")), head_repository=source,
        maintainer_can_modify=bool(call.body.get("maintainer_can_modify")) and source is not found,
    )  # fmt: skip
    return Reply(201, shapes.full_pull(call.state, made))


def _head(call: Call, found: Repository, head: str) -> tuple[Repository, str]:
    """BRANCH, or OWNER:BRANCH of a repository in the same network (`head_repo` names it where the owner has several)."""
    owner, colon, branch = head.rpartition(":")
    if not colon or (owner.lower() == found.owner.login.lower() and not call.body.get("head_repo")):
        return found, branch
    for other in call.state.repositories.values():
        named = call.body.get("head_repo", other.name).rpartition("/")[2].lower() == other.name.lower()
        if other.parent is found and other.owner.login.lower() == owner.lower() and named:
            return other, branch
    raise invalid("PullRequest", "head")


@on("GET", f"{PULLS}/<int:number>", READ)
def get_pull(call: Call, found: Repository, number: int) -> Reply:
    return Reply(200, shapes.full_pull(call.state, call.state.pull(found, number)))


@on("PATCH", f"{PULLS}/<int:number>", WRITE, person="read")
def update_pull(call: Call, found: Repository, number: int) -> Reply:
    """Whoever has opened it may do so without any role there."""
    pull = call.state.pull(found, number)
    if call.by is not pull.user:
        access.require(call.actor, found, ("pull_requests",), "write")
    changes.update(
        call.state, pull, call.by, base=call.body.get("base"), wanted=call.body.get("state"), **call.given("title", "body")
    )
    return Reply(200, shapes.full_pull(call.state, pull))


@on("PUT", f"{PULLS}/<int:number>/merge", "contents:write")
def merge(call: Call, found: Repository, number: int) -> Reply:
    pull, asked = call.state.pull(found, number), call.body or {}
    if call.actor.kind == "installation":
        access.require(call.actor, found, ("pull_requests",), "write")
    sha = changes.merge(call.state, pull, call.by, method=asked.get("merge_method", "merge"), sha=asked.get("sha"))
    return Reply(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@on("GET", f"{PULLS}/<int:number>/merge", READ)
def is_merged(call: Call, found: Repository, number: int) -> Reply:
    if call.state.pull(found, number).merged_at is None:
        raise not_found()
    return Reply(204)


@on("GET", f"{PULLS}/<int:number>/commits", READ)
def list_commits(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    commits = gitstore.between(found, pull.base_sha, pull.head_sha)
    return call.page(commits, lambda each: repositories.commit(call.state, found, each))


@on("GET", f"{PULLS}/<int:number>/files", READ)
def list_files(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    return call.page(repositories.changed_files(call.state, found, pull.base_sha, pull.head_sha), lambda each: each)


@on("GET", f"{PULLS}/<int:number>/requested_reviewers", READ)
def list_requested(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    people = [user(call.state, each) for each in pull.requested_reviewers]
    return Reply(200, {"users": people, "teams": [team(call.state, found.owner, each) for each in pull.requested_teams]})


@on("POST", f"{PULLS}/<int:number>/requested_reviewers", WRITE)
def request_reviewers(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    changes.request_reviewers(call.state, pull, call.by, call.body.get("reviewers", []), call.body.get("team_reviewers", []))
    return Reply(201, shapes.pull(call.state, pull))


@on("GET", f"{PULLS}/<int:number>/reviews", READ)
def list_reviews(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    return call.page(pull.reviews, lambda each: shapes.review(call.state, pull, each))


@on("POST", f"{PULLS}/<int:number>/reviews", WRITE, person="read", content=True)
def create_review(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    made = changes.review(call.state, pull, call.by, call.body.get("event", "COMMENT"), call.body.get("body") or "")
    return Reply(200, shapes.review(call.state, pull, made))


@on("GET", f"{PULLS}/<int:number>/comments", READ)
def list_review_comments(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    return call.page(pull.review_comments, lambda each: shapes.review_comment(call.state, each))


@on("POST", f"{PULLS}/<int:number>/comments", WRITE, person="read", content=True)
def create_review_comment(call: Call, found: Repository, number: int) -> Reply:
    pull = call.state.pull(found, number)
    made = issues.comment_on_line(
        call.state, pull, call.by, call.required("body"), path=call.required("path"), line=call.body.get("line", 1)
    )
    return Reply(201, shapes.review_comment(call.state, made))


@on("POST", f"{PULLS}/<int:number>/comments/<int:comment_id>/replies", WRITE, person="read", content=True)
def reply_to_review_comment(call: Call, found: Repository, number: int, comment_id: int) -> Reply:
    pull, first = call.state.pull(found, number), call.state.comment(found, comment_id, of_review=True)
    made = issues.comment_on_line(
        call.state, pull, call.by, call.required("body"), path=first.path, line=first.line, reply_to=first.id
    )
    return Reply(201, shapes.review_comment(call.state, made))


@on("GET", f"{PULLS}/comments/<int:number>", READ)
def get_review_comment(call: Call, found: Repository, number: int) -> Reply:
    return Reply(200, shapes.review_comment(call.state, call.state.comment(found, number, of_review=True)))


@on("PATCH", f"{PULLS}/comments/<int:number>", WRITE, person="read")
def update_review_comment(call: Call, found: Repository, number: int) -> Reply:
    comment = own_comment(call, found, number, of_review=True)
    issues.edit_comment(call.state, comment, call.by, call.required("body"))
    return Reply(200, shapes.review_comment(call.state, comment))


@on("GET", f"{PULLS}/comments/<int:number>/reactions", READ)
def list_review_comment_reactions(call: Call, found: Repository, number: int) -> Reply:
    return reactions_page(call, call.state.comment(found, number, of_review=True).reactions)


@on("POST", f"{PULLS}/comments/<int:number>/reactions", WRITE, person="read")
def react_to_review_comment(call: Call, found: Repository, number: int) -> Reply:
    return react(call, call.state.comment(found, number, of_review=True).reactions)


@on("PUT", f"{PULLS}/<int:number>/update-branch", WRITE)
def update_branch(call: Call, found: Repository, number: int) -> Reply:
    pull: Pull = call.state.pull(found, number)
    expected = (call.body or {}).get("expected_head_sha")
    if expected is not None and expected != pull.head_sha:
        raise Refused(422, "expected head sha didn't match current head ref.")
    changes.take_base(call.state, pull, call.by)
    told: JSON = {"message": "Updating pull request branch.", "url": f"{call.state.url}/{found.full_name}/pull/{number}"}
    return Reply(202, told)
