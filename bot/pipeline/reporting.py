"""A report in the place of a pull request: read out of the workspace with the care that is due to what an agent left there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from bot.domain.changesets import Changeset
from bot.domain.redaction import redact, redact_data
from bot.domain.states import Outcome
from bot.domain.verdicts import Verdict
from bot.errors import ChangeRefused
from bot.git import Snapshot, read_file
from bot.pipeline.assignment import Assignment, Ended
from bot.pipeline.recorder import Recorder
from bot.services import Services

MAX_BYTES = 2 * 1024 * 1024
"""Of one report: far above what a person reads, and little enough for the reports of a whole organization."""


def read_report(
    services: Services,
    assignment: Assignment,
    tree: Path,
    snapshot: Snapshot,
    changeset: Changeset,
    outputs: Mapping[str, Any],
) -> str:
    """The report that the steps left in `tree`, or told as their last result, without what looks like a credential.

    Raises ChangeRefused for one that is missing, too large, behind a link, no UTF-8 or, where it should be, no JSON. A file
    that the repository had before, and that no step has changed, is no report.
    """
    output, results = assignment.policy.output, assignment.policy.results
    assert output is not None
    if output.report is None:
        return _json_text(outputs[results[-1]], f"the result {results[-1]}")
    path = report_path(services, assignment)
    content = read_file(tree, path)
    if content is None:
        raise ChangeRefused([f"the steps left no report at {path!r}"])
    if path in snapshot.files and path not in changeset.paths:
        raise ChangeRefused([f"the steps left no report: {path!r} is as it was in the repository"])
    if len(content) > MAX_BYTES:
        raise ChangeRefused([f"the report {path!r} has {len(content):,} bytes, at most {MAX_BYTES:,} are allowed"])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ChangeRefused([f"the report {path!r} is not UTF-8"]) from error
    return _json_text(_parsed(text, path), f"the report {path!r}") if output.format == "json" else redact(text)


def report_path(services: Services, assignment: Assignment) -> str:
    """Where the report of a target lies, below the repository's root; what is no file there has a name all the same."""
    output = assignment.policy.output
    if output is None or output.report is None:
        return f"{assignment.run.target}.json"
    return services.renderer(assignment.campaign.revision).render_text(output.report, assignment.variables(""))


def keep_report(report: str, verdict: Verdict, recorder: Recorder) -> Ended:
    """The end of an attempt that publishes nothing. A report whose change failed a check is kept, and not counted as one."""
    content = report.encode()
    recorder.artifact("report", content)
    if not verdict.passed:
        return Ended(Outcome.REJECTED, verdict.reason)
    return Ended(Outcome.REPORTED, f"report of {len(content):,} bytes")


def _parsed(text: str, path: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ChangeRefused([f"the report {path!r} is no JSON: line {error.lineno}: {error.msg}"]) from error
    except (ValueError, RecursionError) as error:
        raise ChangeRefused([f"the report {path!r} is no JSON that can be kept: {error}"]) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_text(value: Any, shown: str) -> str:
    """Written anew: a credential that is cut out of the text itself could take quotes and brackets along."""
    text = json.dumps(redact_data(value), indent=2, ensure_ascii=False) + "\n"
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ChangeRefused([f"{shown} has half of a surrogate pair in it: it is no text"])
    return text
