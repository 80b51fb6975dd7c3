"""What the use-cases are given: the assembled parts. `bot.config` is the only place that builds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import JudgePolicy
from bot.policy_store import Catalogue
from bot.ports import Clock, Conversation, Emit, Engine, Host, Judge, Meter, OpenRegistries, Sandbox
from bot.rendering import Renderer
from bot.store.audit import AuditKey
from bot.store.campaigns import Campaign
from bot.store.database import Database
from bot.store.ledger import Accounts
from bot.store.runs import Run

BOT_NAME = "Whimbrel"
BOT_EMAIL = "whimbrel@localhost"


@dataclass(frozen=True, slots=True)
class Services:
    """Shared by every use-case; holds no state of a run.

    `home` is WHIMBREL_HOME. `engines` makes, for one attempt, the engine of each type of step; its requests to a model are
    charged to the given accounts. `claude` makes the one for Claude steps alone: with this meter, and these templates.
    `judge` makes the one of an attempt whose policy has one.
    `renderer` reads the templates as they were when the revision was saved. `catalogue` reads the operator's policies and
    templates as they are now, `replies` renders what the bot answers people, and `conversation` is the host that they are on.
    `registries` opens the way that preparations have to package registries.
    """

    home: Path
    database: Database
    audit_key: AuditKey
    clock: Clock
    sandbox: Sandbox
    host: Callable[[OrgPolicy], Host]
    conversation: Callable[[OrgPolicy], Conversation]
    catalogue: Callable[[], Catalogue]
    replies: Callable[[], Renderer]
    renderer: Callable[[str], Renderer]
    engines: Callable[[Run, Campaign, Accounts], AbstractContextManager[Mapping[type, Engine]]]
    claude: Callable[[OrgPolicy, Meter, Renderer], Engine]
    judge: Callable[[JudgePolicy, Run, Campaign, Accounts, Emit], Judge]
    registries: OpenRegistries

    @property
    def mirrors(self) -> Path:
        return self.home / "mirrors"

    @property
    def attempts(self) -> Path:
        return self.home / "attempts"

    @property
    def execs(self) -> Path:
        return self.home / "execs"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"
