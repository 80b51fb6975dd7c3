"""A pull request is opened once: the same on every host that is reached by a network, where answers are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bot.domain.pull_requests import PullRequest, PullRequestState
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable


def open_once(
    find: Callable[[], PullRequest | None],
    create: Callable[[], PullRequest],
    *,
    is_there_already: Callable[[HostError], bool],
) -> tuple[PullRequest, bool]:
    """The open one, as it is; or a new one, and then True.

    An answer that was lost is looked for before it counts as a failure: the pull request may be there. `is_there_already` knows
    the host's refusal of a second one, which another process was faster with.
    """
    known = find()
    if known is not None:
        return known, False
    try:
        return create(), True
    except HostUnavailable:
        lost = find()
        if lost is None:
            raise
        return lost, True
    except HostError as error:
        if not is_there_already(error):
            raise
        other = find()
        if other is None:
            raise HostUnavailable(f"there is an open pull request that is not listed yet: {error}") from error
        return other, False


def open_one(found: Iterable[PullRequest], base: str) -> PullRequest | None:
    return next((each for each in found if each.state is PullRequestState.OPEN and each.base == base), None)


def missing(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """Without regard to case, as hosts compare logins and labels; each once."""
    known = {name.lower() for name in there}
    asked = {name.lower(): name for name in reversed(list(wanted))}
    return [name for key, name in reversed(asked.items()) if key not in known]


def logins(reviewers: Iterable[str]) -> list[str]:
    """As CODEOWNERS writes them: @user, @org/team; addresses of mails are nobody that a host could ask."""
    names = [reviewer.removeprefix("@") for reviewer in reviewers]
    return [name for name in names if name and "@" not in name]


def require_writable(repository: Repository) -> None:
    if repository.archived:
        raise HostError(
            f"{repository.full_name} is archived: it takes no pull requests", mend="leave archived ones out of the selection"
        )


def marked(body: str, marker: str) -> str:
    """With the hidden marker that tells the bot's comment from others."""
    return body if marker in body else f"{body}\n\n{marker}"
