"""An org on a local host, and services to work on it: all of it real but the sandbox, which is not needed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bot.campaigns.activation import Activation, activate, complete_finished
from bot.campaigns.planning import Counts, make_plan
from bot.domain.judging import Case, Opinion
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import revision
from bot.domain.pull_requests import PullRequest, PullRequestState
from bot.domain.repositories import Repository
from bot.domain.steps import ClaudeStep, CommandStep, Step, TemplateStep
from bot.engines.template import TemplateEngine
from bot.hosts.local import LocalHost
from bot.pipeline.assignment import Ended
from bot.pipeline.execution import execute
from bot.pipeline.lease import LEASE
from bot.policy_store import Catalogue, Policies
from bot.ports import Conversation, Engine, Host, SandboxCommand, SandboxEnd, SandboxResult, StepContext
from bot.registries.server import RegistryServer
from bot.rendering import Renderer
from bot.services import Services
from bot.store import audit, campaigns, publications, records, runs
from bot.store.audit import AuditKey
from bot.store.campaigns import Campaign, Plan
from bot.store.database import Database
from bot.store.ledger import Accounts
from bot.store.publications import Change, Publication
from bot.store.runs import Dispatch, Run
from bot.store.schema import accounts
from tests.fakes import repositories
from tests.fakes.clock import ManualClock
from tests.fakes.repositories import Files

TEMPLATES: Mapping[str, str] = {
    "note.md.j2": "# {{ repo.name }}\n\n{{ vars.note }}\n",
    "pull_request/title.md.j2": "{{ description }}\n",
    "pull_request/body.md.j2": "By {{ policy }}, revision {{ revision }}: {{ files | join(', ') }}\n",
    "pull_request/commit.md.j2": "{{ description }}\n",
}
EVERYTHING = 1000
PACKAGED = Path(__file__).parents[2] / "templates"


class NoSandbox:
    """`ports.Sandbox` for policies that need none; those that a test has `answers` for are not run either."""

    user = None
    toolchain = "none"

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Path], int]] = {}

    def run(self, command: SandboxCommand, **_: object) -> SandboxResult:
        answer = self.answers.get(command.argv[-1])
        assert answer, f"no sandbox is needed here, and yet it was asked to run {command.argv}"
        return SandboxResult(answer(command.workspace), SandboxEnd.EXIT, 0, 0, "")


class ScriptedJudge:
    """`ports.Judge`: gives the next of its `opinions`, and remembers the cases."""

    def __init__(self) -> None:
        self.opinions: list[Opinion | str | Exception] = []
        self.cases: list[Case] = []

    def judge(self, case: Case, _: float) -> Opinion | str:
        self.cases.append(case)
        opinion = self.opinions.pop(0)
        if isinstance(opinion, Exception):
            raise opinion
        return opinion


def no_model(*_: object) -> Engine:
    raise AssertionError("no model is needed here, and yet it was asked for")


Act = Callable[[Accounts, StepContext], None]
"""What a `run:` or Claude step of a test does in the place of a command or a session."""


class ActingEngine:
    """`ports.Engine`: calls the function that stands for the step's command, or for the session with this prompt."""

    def __init__(self, acts: Mapping[str, Act], charged: Accounts):
        self._acts, self._charged = acts, charged

    def apply(self, step: Step, context: StepContext) -> None:
        assert isinstance(step, CommandStep | ClaudeStep)
        self._acts[step.run if isinstance(step, CommandStep) else str(step.prompt)](self._charged, context)


class World:
    """`acts` are what the commands of `run:` steps do, and sessions by their prompt; `host` and `talker` may be put in
    another's place by a test.

    `policies` are the campaign policies on the operator's disk, which may all run on the org.
    """

    def __init__(self, folder: Path, database: Database, clock: ManualClock, org: str = "acme"):
        self.folder, self.clock = folder, clock
        self.local = LocalHost(folder / "host", now=clock.now)
        self.host: Host = self.local
        self.talker: Conversation = self.local
        self.policies: dict[str, CampaignPolicy] = {}
        self.acts: dict[str, Act] = {}
        self.sandbox = NoSandbox()
        self.judge = ScriptedJudge()
        self.org = OrgPolicy.model_validate({"org": org, "host": "local:host", "quota": {"usd_per_month": 100}})
        (folder / "host" / org).mkdir(parents=True)
        self.services = Services(
            home=folder / "home",
            database=database,
            audit_key=AuditKey(b"key"),
            clock=clock,
            sandbox=self.sandbox,
            host=lambda _: self.host,
            conversation=lambda _: self.talker,
            catalogue=self._catalogue,
            replies=lambda: Renderer([PACKAGED]),
            renderer=self._renderer,
            engines=self._engines,
            claude=no_model,
            judge=lambda *_: self.judge,
            registries=RegistryServer,
        )

    @property
    def database(self) -> Database:
        return self.services.database

    def limit(self, **changes: Any) -> None:
        """Change the org's `ceilings` and `quota`."""
        data = self.org.model_dump()
        self.org = OrgPolicy.model_validate(
            {key: value | changes.get(key, {}) if key in changes else value for key, value in data.items()}
        )

    def repository(self, name: str, files: Files | None = None) -> Path:
        folder = self.folder / "host" / self.org.org / f"{name}.git"
        repositories.make(folder, files or {"README.md": b"# Hello\n"})
        return folder

    def plan(
        self,
        note: str = "Be kind.",
        *,
        name: str = "notes",
        steps: list[Any] | None = None,
        earlier: Counts = "all",
        **policy: Any,
    ) -> tuple[Plan, CampaignPolicy]:
        """Of a policy that has every repository hold `note`."""
        parsed = CampaignPolicy.model_validate(
            {
                "name": name,
                "description": "Every repository has a note",
                "variables": {"note": note},
                "steps": [*(steps or []), {"template": "note.md.j2", "to": "NOTE.md", "mode": "overwrite"}],
                **policy,
            }
        )
        made = revision(parsed, {name: text.encode() for name, text in TEMPLATES.items()})
        return make_plan(self.services, self.org, parsed, TEMPLATES, made, earlier=earlier), parsed

    def start(self, note: str = "Be kind.", **policy: Any) -> str:
        """Start, or join, a campaign; return its id."""
        return self.activate(*self.plan(note, **policy)).campaign_id

    def activate(self, plan: Plan, policy: CampaignPolicy, **options: Any) -> Activation:
        return activate(self.services, plan, policy, self.org, actor="alice", **options)

    def dispatch(self, slots: int = EVERYTHING) -> list[Dispatch]:
        with self.database.transaction() as tx:
            return runs.dispatch(tx, slots=slots, now=self.clock.now(), lease=LEASE)

    def attempt(self, item: Dispatch, worker: str = "worker") -> Ended | None:
        return execute(self.services, item.run_id, item.fence, worker=worker)

    def work(self) -> None:
        """Attempt what can be, until nothing more can."""
        while taken := self.dispatch():
            for item in taken:
                self.attempt(item)
        complete_finished(self.services)

    def campaign(self, campaign_id: str) -> Campaign:
        with self.database.reading() as tx:
            return campaigns.get(tx, campaign_id)

    def run(self, campaign_id: str, number: int = 1) -> Run:
        with self.database.reading() as tx:
            return runs.get(tx, f"{campaign_id}-{number}")

    def ended(self, run: Run) -> str:
        """`OUTCOME: REASON` as the timeline's last line has it."""
        with self.database.reading() as tx:
            last = records.entries_of_run(tx, run.id)[-1]
        return f"{last.data['outcome']}: {last.message}"

    def pull_requests(self, name: str, branch: str = "whimbrel/notes") -> list[PullRequest]:
        return list(self.local.pull_requests(Repository(self.org.org, name, "main", None), branch))

    def open_pull_requests(self, name: str) -> list[PullRequest]:
        return [found for found in self.pull_requests(name) if found.state is PullRequestState.OPEN]

    def publication(self, name: str, policy: str = "notes") -> Publication | None:
        with self.database.reading() as tx:
            return publications.find(tx, Change(self.org.org, policy, name, "main"))

    def require_tidy(self) -> None:
        """No money is held, no folder of an attempt is left, the audit trail holds."""
        with self.database.reading() as tx:
            assert tx.execute(select(func.coalesce(func.sum(accounts.c.reserved), 0))).scalar_one() == 0
            assert audit.verify(tx, self.services.audit_key, self.org.org) is None
        assert not self.services.attempts.is_dir() or not list(self.services.attempts.iterdir())

    def _catalogue(self) -> Catalogue:
        org = self.org.model_copy(update={"campaigns": list(self.policies)})
        return Catalogue(Policies({org.org: org}, self.policies), TEMPLATES)

    def _renderer(self, revision: str) -> Renderer:
        folder = self.services.home / "revisions" / revision
        for name, text in TEMPLATES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return Renderer([folder])

    @contextmanager
    def _engines(self, run: Run, campaign: Campaign, charged: Accounts) -> Iterator[Mapping[type, Engine]]:
        yield {
            TemplateStep: TemplateEngine(self._renderer(campaign.revision), lambda _: None),
            CommandStep: ActingEngine(self.acts, charged),
            ClaudeStep: ActingEngine(self.acts, charged),
        }
