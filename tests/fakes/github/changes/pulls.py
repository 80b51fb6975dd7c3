"""Pull requests: opened, changed, reviewed, closed, merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.github import objects
from tests.fakes.github.changes import issues, refs
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.payloads.basics import team as team_shape
from tests.fakes.github.payloads.basics import user
from tests.fakes.github.records import Account, Protection, Pull, Repository, Review, Team
from tests.fakes.github.state import State, invalid

_VERDICTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _custom(message: str) -> Refused:
    return Refused(422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": message}])


def open_pull(
    state: State,
    repository: Repository,
    by: Account,
    *,
    title: str,
    head: str,
    base: str,
    body: str | None = None,
    draft: bool = False,
    head_repository: Repository | None = None,
    maintainer_can_modify: bool = False,
) -> Pull:
    """`head` and `base` are branches; `head` is one of `head_repository` where that is given."""
    source = head_repository or repository
    base_sha, head_sha = gitstore.head(repository, base), gitstore.head(source, head)
    if base_sha is None:
        raise invalid("PullRequest", "base")
    if head_sha is None:
        raise invalid("PullRequest", "head")
    for other in repository.pulls:
        if (other.state, other.head_repository, other.head_ref, other.base_ref) == ("open", source, head, base):
            raise _custom(f"A pull request already exists for {source.owner.login}:{head}.")
    issues.check_body(title, "PullRequest")
    moment = state.now()
    made = Pull(
        state.new_id(), repository.next_number, repository, by, title, body, moment, moment, app=state.app_of(by),
        head_repository=source, head_ref=head, head_sha=head_sha, base_ref=base, base_sha=base_sha,
        draft=draft, maintainer_can_modify=maintainer_can_modify,
    )  # fmt: skip
    objects.take_head(made)
    if not gitstore.between(repository, base_sha, head_sha):
        raise _custom(f"No commits between {base} and {head}")
    repository.issues[issues.next_number(repository)] = made
    issues.tell(state, made, by, "opened")
    return made


def update(state: State, pull: Pull, by: Account, *, base: str | None = None, wanted: str | None = None, **text: Any) -> None:
    """`text` is title and body; `wanted` is open or closed."""
    issues.edit(state, pull, by, **text)
    if base is not None and base != pull.base_ref:
        _change_base(state, pull, by, base)
    if wanted == "closed":
        close(state, pull, by)
    elif wanted == "open":
        reopen(state, pull, by)


def _change_base(state: State, pull: Pull, by: Account, base: str) -> None:
    sha = gitstore.head(pull.repository, base)
    if sha is None:
        raise invalid("PullRequest", "base")
    changes = {"base": {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}}
    pull.base_ref, pull.base_sha = base, sha
    issues.tell(state, pull, by, "edited", changes=changes)


def close(state: State, pull: Pull, by: Account) -> None:
    if pull.state == "open":
        _end(state, pull, by)
        issues.tell(state, pull, by, "closed")


def _end(state: State, pull: Pull, by: Account) -> None:
    pull.state, pull.closed_at, pull.closed_by, pull.auto_merge = "closed", state.now(), by, None


def reopen(state: State, pull: Pull, by: Account) -> None:
    if pull.state == "open":
        return
    head = gitstore.head(pull.head_repository, pull.head_ref)
    if pull.merged_at is not None or head is None:
        raise _custom("The pull request cannot be reopened.")
    pull.state, pull.closed_at, pull.closed_by, pull.head_sha = "open", None, None, head
    objects.take_head(pull)
    issues.tell(state, pull, by, "reopened")


def merged(state: State, pull: Pull, by: Account, sha: str) -> None:
    """Its commits are in the base now, as `sha`."""
    _end(state, pull, by)
    pull.merged_at, pull.merged_by, pull.merge_commit_sha = pull.closed_at, by, sha
    issues.tell(state, pull, by, "closed")


def merge(state: State, pull: Pull, by: Account, *, method: str = "merge", sha: str | None = None) -> str:
    """Merge it, or raise 405 or 409 as GitHub does. The id of the base's new commit."""
    if pull.state != "open" or pull.draft:
        raise Refused(405, "Pull Request is not mergeable")
    if sha is not None and sha != pull.head_sha:
        raise Refused(409, "Head branch was modified. Review and try the merge again.")
    if missing := requirements(pull):
        raise Refused(405, missing[0])
    base = gitstore.head(pull.repository, pull.base_ref)
    if base is None:
        raise Refused(405, "Base branch was deleted.")
    message = f"Merge pull request #{pull.number} from {pull.head_repository.owner.login}/{pull.head_ref}\n\n{pull.title}\n"
    author = objects.signature(state, by)
    made = objects.merge(pull.repository, base, pull.head_sha, message=message, author=author, squash=method != "merge")
    gitstore.set_ref(pull.repository, refs.BRANCH + pull.base_ref, made)
    merged(state, pull, by, made)
    refs.settle(state, pull.repository, by)
    return made


def requirements(pull: Pull) -> list[str]:
    """What the base's protection still waits for, in words."""
    return [word for rule in pull.repository.protections if rule.fits(pull.base_ref) for word in _missing(rule, pull)]


def _missing(rule: Protection, pull: Pull) -> list[str]:
    approvals = {review.user.id for review in pull.reviews if review.state == "APPROVED"}
    words = []
    if len(approvals) < rule.reviews:
        words.append(f"At least {rule.reviews} approving review is required by reviewers with write access.")
    runs = pull.repository.check_runs.values()
    passed = {run.name for run in runs if run.head_sha == pull.head_sha and run.conclusion == "success"}
    passed |= {s.context for s in pull.repository.statuses if s.sha == pull.head_sha and s.state == "success"}
    words += [f'Required status check "{name}" is expected.' for name in rule.checks if name not in passed]
    return words


def enable_auto_merge(state: State, pull: Pull, by: Account, method: str) -> None:
    """Raises 422 in the words that GraphQL answers."""
    if not pull.repository.allow_auto_merge:
        raise Refused(422, "Pull request Auto merge is not allowed for this repository")
    if pull.state != "open" or pull.draft:
        raise Refused(422, "Pull request Pull request is in draft status" if pull.draft else "Pull request is closed")
    if not requirements(pull):
        raise Refused(422, "Pull request Pull request is in clean status")
    title = f"{pull.title} (#{pull.number})"
    pull.auto_merge = {"enabled_by": user(state, by), "merge_method": method, "commit_title": title, "commit_message": ""}
    issues.tell(state, pull, by, "auto_merge_enabled")


def disable_auto_merge(state: State, pull: Pull, by: Account) -> None:
    if pull.auto_merge is not None:
        pull.auto_merge = None
        issues.tell(state, pull, by, "auto_merge_disabled", reason="Disabled by a user")


def try_auto_merge(state: State, pull: Pull) -> None:
    """What GitHub does when a check or review comes in."""
    if pull.auto_merge is not None and pull.state == "open" and not requirements(pull):
        by = state.account(pull.auto_merge["enabled_by"]["login"])
        merge(state, pull, by, method=pull.auto_merge["merge_method"])


def set_draft(state: State, pull: Pull, by: Account, draft: bool) -> None:
    if pull.draft != draft:
        pull.draft = draft
        issues.tell(state, pull, by, "converted_to_draft" if draft else "ready_for_review")


def review(state: State, pull: Pull, by: Account, verdict: str, body: str = "") -> Review:
    """`verdict` is APPROVE, REQUEST_CHANGES or COMMENT."""
    if verdict not in _VERDICTS:
        raise invalid("PullRequestReview", "event")
    if by is pull.user and verdict != "COMMENT":
        raise Refused(422, "Unprocessable Entity", errors=["Can not approve or request changes on your own pull request"])
    made = Review(state.new_id(), by, _VERDICTS[verdict], body, pull.head_sha, state.now())
    pull.reviews.append(made)
    pull.requested_reviewers = [each for each in pull.requested_reviewers if each is not by]
    told = {**shapes.review(state, pull, made), "state": made.state.lower()}
    shown = shapes.pull(state, pull)
    state.tell("pull_request_review", "submitted", repository=pull.repository, sender=by, review=told, pull_request=shown)
    try_auto_merge(state, pull)
    return made


def request_reviewers(state: State, pull: Pull, by: Account, logins: Sequence[str], slugs: Sequence[str]) -> None:
    """422 where one is no collaborator, and nobody is asked then."""
    people = [_reviewer(state, pull, login) for login in logins]
    teams = [_reviewing_team(pull, slug) for slug in slugs]
    for person in [each for each in people if each not in pull.requested_reviewers]:
        pull.requested_reviewers.append(person)
        issues.tell(state, pull, by, "review_requested", requested_reviewer=user(state, person))
    for team in [each for each in teams if each not in pull.requested_teams]:
        pull.requested_teams.append(team)
        issues.tell(state, pull, by, "review_requested", requested_team=team_shape(state, pull.repository.owner, team))


def _reviewer(state: State, pull: Pull, login: str) -> Account:
    if login.lower() == pull.user.login.lower():
        raise Refused(422, "Review cannot be requested from pull request author.")
    known = login.lower() in pull.repository.roles or login.lower() in pull.repository.owner.members
    if not known or login.lower() not in state.accounts:
        lacks = "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a"
        raise Refused(422, f"{lacks} collaborator of the {pull.repository.full_name} repository.")
    return state.account(login)


def _reviewing_team(pull: Pull, slug: str) -> Team:
    try:
        return pull.repository.owner.teams[slug]
    except KeyError:
        raise Refused(422, f"Could not resolve to a node with the global id of '{slug}'.") from None


def take_base(state: State, pull: Pull, by: Account) -> None:
    """Merge the base into the head: the button "Update branch"."""
    base = gitstore.head(pull.repository, pull.base_ref)
    if base is None or gitstore.is_ancestor(pull.repository, base, pull.head_sha):
        raise Refused(422, "There are no new commits on the base branch.")
    if pull.head_repository is not pull.repository:
        raise Refused(403, "Resource not accessible by integration")
    message = f"Merge branch '{pull.base_ref}' into {pull.head_ref}\n"
    author = objects.signature(state, by)
    made = objects.merge(pull.repository, pull.head_sha, base, message=message, author=author, squash=False)
    gitstore.set_ref(pull.repository, refs.BRANCH + pull.head_ref, made)
    refs.settle(state, pull.repository, by)
