"""/repos/…/check-runs and commit statuses."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.changes import checks as changes
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.payloads.repositories import api_url, repository
from tests.fakes.github.records import CheckRun, Repository, Status
from tests.fakes.github.rest.routing import Call, Reply, on

_FIELDS = ("status", "conclusion", "details_url", "external_id", "output", "name")


@on("POST", "/repos/<owner>/<repo>/check-runs", "checks:write")
def create_check_run(call: Call, found: Repository) -> Reply:
    sha = str(gitstore.commit(found, call.required("head_sha")).id)
    if call.actor.app is None:
        raise Refused(403, "You must authenticate via a GitHub App.")
    fields = {"name": call.required("name"), **call.given(*_FIELDS)}
    made = changes.create_run(call.state, found, call.actor.app, sha, **fields)
    return Reply(201, shapes.check_run(call.state, found, made))


@on("PATCH", "/repos/<owner>/<repo>/check-runs/<int:number>", "checks:write")
def update_check_run(call: Call, found: Repository, number: int) -> Reply:
    run = _run(found, number)
    if run.app is not call.actor.app:
        raise Refused(403, f"Invalid app_id `{run.app.id}` - check run can only be modified by the GitHub App that created it.")
    changes.update_run(call.state, found, run, **call.given(*_FIELDS))
    return Reply(200, shapes.check_run(call.state, found, run))


def _run(found: Repository, number: int) -> CheckRun:
    if number not in found.check_runs:
        raise not_found()
    return found.check_runs[number]


@on("GET", "/repos/<owner>/<repo>/check-runs/<int:number>", "checks:read")
def get_check_run(call: Call, found: Repository, number: int) -> Reply:
    return Reply(200, shapes.check_run(call.state, found, _run(found, number)))


@on("GET", "/repos/<owner>/<repo>/commits/<path:ref>/check-runs", "checks:read")
def list_check_runs(call: Call, found: Repository, ref: str) -> Reply:
    """The latest of each name and app, unless `filter` is all."""
    sha = str(gitstore.commit(found, ref).id)
    runs = [each for each in found.check_runs.values() if each.head_sha == sha]
    if name := call.query.get("check_name"):
        runs = [each for each in runs if each.name == name]
    if app_id := call.query.get("app_id"):
        runs = [each for each in runs if each.app.id == int(app_id)]
    if call.query.get("filter", "latest") == "latest":
        runs = list({(each.app.id, each.name): each for each in runs}.values())
    return call.page(runs[::-1], lambda each: shapes.check_run(call.state, found, each), key="check_runs")


@on("POST", "/repos/<owner>/<repo>/statuses/<sha>", "statuses:write")
def create_status(call: Call, found: Repository, sha: str) -> Reply:
    commit, verdict = str(gitstore.commit(found, sha).id), call.required("state")
    more = call.given("context", "description", "target_url")
    made = changes.add_status(call.state, found, commit, call.by, verdict=verdict, **more)
    return Reply(201, shapes.status(call.state, found, made))


@on("GET", "/repos/<owner>/<repo>/commits/<path:ref>/statuses", "statuses:read")
def list_statuses(call: Call, found: Repository, ref: str) -> Reply:
    sha = str(gitstore.commit(found, ref).id)
    chosen = [each for each in found.statuses if each.sha == sha]
    return call.page(chosen[::-1], lambda each: shapes.status(call.state, found, each))


@on("GET", "/repos/<owner>/<repo>/commits/<path:ref>/status", "statuses:read")
def combined_status(call: Call, found: Repository, ref: str) -> Reply:
    sha = str(gitstore.commit(found, ref).id)
    latest: dict[str, Status] = {each.context: each for each in found.statuses if each.sha == sha}
    url = f"{api_url(call.state, found)}/commits/{sha}"
    told = {
        "state": _combined([each.state for each in latest.values()]),
        "statuses": [shapes.status(call.state, found, each) for each in latest.values()],
        "sha": sha,
        "total_count": len(latest),
        "repository": repository(call.state, found),
        "commit_url": url,
        "url": f"{url}/status",
    }
    return Reply(200, told)


def _combined(states: list[str]) -> str:
    if any(state in ("failure", "error") for state in states):
        return "failure"
    return "success" if states and all(state == "success" for state in states) else "pending"
