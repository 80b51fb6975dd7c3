"""exec: one headless run on a folder."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from bot.campaigns.authority import require_permission
from bot.cli import tables
from bot.cli.common import actor, as_json, console, load, named, print_json
from bot.config import Settings, assemble
from bot.domain.guidance import check_skills, check_subagents
from bot.domain.markdown import fenced
from bot.domain.money import MicroUsd, decimal_usd, dollars, micro_usd
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import Budget, Limits
from bot.domain.redaction import visible
from bot.domain.states import Stage
from bot.domain.steps import ClaudeStep
from bot.errors import UsageError
from bot.pipeline.oneshot import PROMPT, Order, Report, run_once
from bot.policy_store import load_templates
from bot.progress import JsonLinesProgress, RichProgress

FORMATS = ("json", "md", "txt")
DEFAULT_MODEL = str(ClaudeStep.model_fields["model"].default)

folder = partial(click.Path, path_type=Path, exists=True, file_okay=False)
file = partial(click.Path, path_type=Path, dir_okay=False)


@click.command(
    "exec",
    epilog="""\b
Examples:
  whimbrel exec --org acme --prompt 'Add type hints to src/' --dir ~/tool
  whimbrel exec --org acme --prompt-file ask.md --files 'src/**/*.py' --skills ./skills --write
  whimbrel exec --org acme --prompt 'Report what is insecure here' --output report.md

Git's own folder and what .gitignore files match stay out of the copy. Exit status 3: refused by a quota.""",
)
@click.option("--org", required=True, help="Whose quota pays: the org policy, by its name.")
@click.option("--prompt", help="What to do.")
@click.option("--prompt-file", type=file(exists=True), help="A file that says what to do.")
@click.option("--dir", "place", type=folder(), default=".", help="The folder to work on a copy of. Default: this one.")
@click.option("--files", multiple=True, metavar="GLOB", help="What to look at first; may be repeated.")
@click.option("--config", type=file(exists=True), help="A CLAUDE.md: guidance for the session.")
@click.option("--skills", type=folder(), help="A folder with a folder for each skill (NAME/SKILL.md).")
@click.option("--subagents", type=folder(), help="A folder with a file for each subagent (NAME.md).")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Its full name, as the price table has it.")
@click.option("--timeout", type=click.FloatRange(0, 720, min_open=True), default=20, show_default=True, help="Minutes.")
@click.option("--max-cost", type=Decimal, help="Dollars. Default: 2, or the org's ceiling where that is lower.")
@click.option("--write", is_flag=True, help="Put the change into the folder itself.")
@click.option("--output", type=file(writable=True), help="Write the result to this file.")
@click.option("--output-format", type=click.Choice(FORMATS), help="Default: as the file's name ends, else txt.")
@as_json
def exec_(
    org: str,
    prompt: str | None,
    prompt_file: Path | None,
    place: Path,
    files: tuple[str, ...],
    config: Path | None,
    skills: Path | None,
    subagents: Path | None,
    model: str,
    timeout: float,
    max_cost: Decimal | None,
    write: bool,
    output: Path | None,
    output_format: str | None,
    as_json: bool,
) -> None:
    """Ask Claude Code once, unattended, on a copy of a folder, and show what it would change.

    In the same sandbox, on the same quota and in the same audit trail as a campaign's attempts.
    """
    if output_format and output is None:
        raise UsageError("--output-format is the format of --output", mend="say where to write it, or use --json")
    if output and not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}")
    settings = Settings.from_environment()
    policy = named(load(settings).orgs, org, "org policy", "policies/orgs")
    order = Order(
        org=policy,
        actor=actor(),
        folder=place.absolute(),
        prompt=_prompt(prompt, prompt_file),
        step=_step(model, config, skills, subagents),
        files=files,
        guidance=_guidance(config, skills, subagents),
        limits=Limits(timeout_minutes=timeout),
        cap=_cap(policy, max_cost),
        write=write,
    )
    # CI systems cancel a job with SIGTERM: nothing is left behind by that either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with assemble(settings) as services:
        require_permission(services.host(policy), policy, order.actor)
        with _progress(order, as_json=as_json) as update:
            report = run_once(services, order, lambda message, **data: update({"message": message, **data}))
            update({"outcome": report.outcome.value, "reason": report.reason, "cost_usd": decimal_usd(report.cost)})
    _show(report, as_json=as_json)
    if output:
        _write_output(output, _format(output, output_format), report)
    if report.error:
        raise report.error


def _prompt(prompt: str | None, prompt_file: Path | None) -> str:
    if (prompt is None) == (prompt_file is None):
        raise UsageError("say what to do with either --prompt or --prompt-file")
    text = prompt if prompt_file is None else _read(prompt_file)
    if not text or not text.strip():
        raise UsageError("the prompt is empty")
    return text


def _step(model: str, config: Path | None, skills: Path | None, subagents: Path | None) -> ClaudeStep:
    return ClaudeStep(
        prompt=PROMPT,
        model=model,
        config="CLAUDE.md" if config else None,
        skills="skills" if skills else None,
        subagents="subagents" if subagents else None,
    )


def _guidance(config: Path | None, skills: Path | None, subagents: Path | None) -> dict[str, str]:
    """The files that the step of `_step` names."""
    found = {"CLAUDE.md": _read(config)} if config else {}
    for name, root, check in (("skills", skills, check_skills), ("subagents", subagents, check_subagents)):
        if root is None:
            continue
        texts = load_templates([root])
        try:
            check(texts)
        except ValueError as error:
            raise UsageError(f"--{name} {root}: {error}") from error
        found |= {f"{name}/{path}": text for path, text in texts.items()}
    return found


def _cap(org: OrgPolicy, asked: Decimal | None) -> MicroUsd:
    ceiling = org.ceilings.usd_per_attempt
    try:
        cap = micro_usd(min(ceiling, Budget().usd_per_attempt) if asked is None else asked)
    except ValueError as error:
        raise UsageError(f"--max-cost: {error}") from error
    if cap > micro_usd(ceiling):
        raise UsageError(f"--max-cost {asked} is above the ceiling of {dollars(micro_usd(ceiling))} that {org.org} sets")
    return cap


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error


@contextmanager
def _progress(order: Order, *, as_json: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Takes events in, and shows them as those of the only run there is."""
    shown = JsonLinesProgress() if as_json else RichProgress(order.cap)
    run = {"run": "exec", "target": order.folder.name, "stage": Stage.STEPS.value}
    shown.start(f"{order.step.model} on {order.folder}", 1)
    try:
        yield lambda event: shown.update({**run, **event})
    finally:
        shown.finish()


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(_json(report))
        return
    out = console()
    if report.answer:
        out.print(visible(report.answer).strip(), markup=False)
    if report.diff:
        out.print(tables.diff_text(report.diff), soft_wrap=True)
    said = f"{report.outcome}: {report.reason}; {dollars(report.cost)} for {report.tokens:,} tokens ({report.id})"
    out.print(f"[bold]{escape(visible(said))}[/]", soft_wrap=True)
    if report.diff and not report.written:
        out.print("Nothing was written: --write puts the change into the folder.")


def _json(report: Report) -> dict[str, Any]:
    return {
        "id": report.id,
        "outcome": report.outcome.value,
        "reason": report.reason,
        "answer": report.answer,
        "files": list(report.files),
        "diff": report.diff,
        "written": report.written,
        "cost_usd": decimal_usd(report.cost),
        "tokens": report.tokens,
        "duration_ms": report.duration_ms,
    }


def _format(output: Path, wanted: str | None) -> str:
    ending = output.suffix.removeprefix(".")
    return wanted or (ending if ending in FORMATS else "txt")


def _write_output(output: Path, kind: str, report: Report) -> None:
    try:
        output.write_text(_text(kind, report))
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror}") from error


def _text(kind: str, report: Report) -> str:
    match kind:
        case "json":
            return json.dumps(_json(report), indent=2, ensure_ascii=False) + "\n"
        case "md":
            change = f"\n## Change\n\n{fenced(report.diff, 'diff')}\n" if report.diff else ""
            cost = f"{dollars(report.cost)} for {report.tokens:,} tokens"
            return f"{report.answer.strip()}\n{change}\n---\n{report.outcome}: {report.reason}; {cost}\n"
        case _:
            return f"{report.answer.strip()}\n"
