"""Settings from the environment, and the only place that builds adapters."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import importlib.util
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limits.errors import StorageError
from limits.storage import MemoryStorage

from bot.clock import SystemClock
from bot.domain.money import MicroUsd, micro_usd
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import JudgePolicy
from bot.domain.policy_sources import Sourced, parse_source
from bot.domain.steps import ClaudeStep, CommandStep, EditStep, TemplateStep
from bot.engines.claude_code import ClaudeEngine
from bot.engines.command import CommandEngine
from bot.engines.messages import MessagesEngine
from bot.engines.template import TemplateEngine
from bot.errors import ConfigurationError, PolicyError, UsageError
from bot.gateway.breaker import Breaker, MemoryCircuits, RedisCircuits, read_circuit
from bot.gateway.client import client_at
from bot.gateway.counting import NoMoney, token_counter
from bot.gateway.governor import Governor, shared_storage
from bot.gateway.judge import ApiJudge
from bot.gateway.prices import load_prices
from bot.gateway.server import Gateway
from bot.gateway.step_cap import CappedMeter
from bot.gateway.upstream import Upstream
from bot.hosting import Hosting
from bot.policy_store import Catalogue, Policies, load_policies, load_templates
from bot.ports import Clock, Emit, Engine, Judge, Meter, OpenGateway, StepContext
from bot.queue.connection import connect_briefly
from bot.queue.server import running_server
from bot.registries.server import RegistryServer
from bot.rendering import Renderer
from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.services import Services
from bot.store import campaigns, policy_sources, records
from bot.store.alerts import Alerts
from bot.store.audit import AuditKey
from bot.store.campaigns import Campaign
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter, OrgMonth
from bot.store.runs import Run

if TYPE_CHECKING:
    from bot.hosting import AnyHost

ANTHROPIC_API = "https://api.anthropic.com"
COUNTING_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, and the environment variable that it comes from. Secrets are not in its repr."""

    home: Path
    """WHIMBREL_HOME: state, mirrors, artifacts. Default ./.whimbrel."""
    policies: Path
    """WHIMBREL_POLICIES: the policies folder. Default ./policies."""
    templates: Path
    """WHIMBREL_TEMPLATES: the templates folder. Default ./templates."""
    database_url: str
    """DATABASE_URL. Default: SQLite in the home."""
    redis_url: str | None
    """REDIS_URL. Default: a server of our own, on a socket in the home."""
    upstream: str
    """ANTHROPIC_BASE_URL: where the gateway sends what it lets through."""
    api_key: str = field(repr=False)
    """ANTHROPIC_API_KEY: only ever used by the gateway."""
    audit_key: str = field(repr=False)
    """WHIMBREL_AUDIT_KEY. Default: audit.key in the home, made at the first use."""
    prices: Path | None
    """WHIMBREL_PRICES: a price table in place of the one that came with this version."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        home = Path(environ.get("WHIMBREL_HOME") or ".whimbrel").absolute()
        prices = environ.get("WHIMBREL_PRICES")
        return cls(
            home=home,
            policies=Path(environ.get("WHIMBREL_POLICIES") or "policies").absolute(),
            templates=Path(environ.get("WHIMBREL_TEMPLATES") or "templates").absolute(),
            database_url=environ.get("DATABASE_URL") or f"sqlite:///{home / 'whimbrel.db'}",
            redis_url=environ.get("REDIS_URL") or None,
            upstream=environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_API,
            api_key=environ.get("ANTHROPIC_API_KEY", ""),
            audit_key=environ.get("WHIMBREL_AUDIT_KEY", ""),
            prices=Path(prices).absolute() if prices else None,
        )

    @property
    def owns_database(self) -> bool:
        """Is the database this home's own SQLite file, which is upgraded without being asked?"""
        return self.database_url == f"sqlite:///{self.home / 'whimbrel.db'}"


@contextmanager
def assemble(settings: Settings) -> Iterator[Services]:
    """Build the services; close them at the end. Raises ConfigurationError or StoreError, with the mend."""
    prepare_home(settings.home)
    database = open_database(settings)
    try:
        yield _services(settings, database)
    finally:
        database.dispose()


def open_database(settings: Settings) -> Database:
    database = Database(settings.database_url)
    if settings.owns_database and not database.is_current():
        database.upgrade()
    database.require_current()
    return database


def prepare_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be made: {error.strerror}", mend="set WHIMBREL_HOME to a folder of yours"
        ) from error


def read_audit_key(settings: Settings) -> AuditKey:
    """The operator's key, or the home's own, made once with mode 0600."""
    if settings.audit_key:
        return AuditKey(settings.audit_key.encode())
    file = settings.home / "audit.key"
    if not file.exists():
        _write_secret(file, secrets.token_hex(32))
    return AuditKey(file.read_text().strip().encode())


def claude_binary() -> Path:
    """The Claude Code binary that the claude-agent-sdk wheel carries. Raises ConfigurationError."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    for place in spec.submodule_search_locations or () if spec else ():
        binary = Path(place) / "_bundled" / "claude"
        if binary.is_file():
            return binary
    raise ConfigurationError(
        "the Claude Code binary is missing", mend="pip install claude-agent-sdk, a wheel for this platform"
    )


def packaged(name: str) -> Path:
    """The `templates` or `policies` that came with this version: in the wheel, or beside the code in a checkout."""
    inside = Path(str(importlib.resources.files("bot"))) / "_data" / name
    return inside if inside.is_dir() else Path(__file__).parent.parent / name


def read_policies(settings: Settings) -> Policies:
    """Raises PolicyError for the first broken file, UsageError where there are none."""
    if not settings.policies.is_dir():
        raise UsageError(f"there is no folder {settings.policies}", mend="whimbrel init writes one to start from")
    return load_policies(settings.policies)


def read_catalogue(settings: Settings, database: Database) -> Catalogue:
    """Raises as `read_policies`, and PolicyError for a template that is no text."""
    policies, ours = read_policies(settings), load_templates([packaged("templates")])
    sourced = {org.org: _sourced(database, org, ours) for org in policies.orgs.values() if org.policies_from}
    return Catalogue(policies, {**ours, **load_templates([settings.templates])}, sourced, ours)


def hosting(settings: Settings, database: Database, clock: Clock) -> Hosting:
    return Hosting(settings.home, settings.redis_url, database, clock)


def breaker_status(settings: Settings, org: str) -> dict[str, Any] | None:
    """The circuit as JSON-ready values; None where no Redis answers: a home's own one runs only while its workers do."""
    url = running_server(settings.home, settings.redis_url)
    if url is None:
        return None
    with connect_briefly(url) as redis:
        try:
            circuit, now = read_circuit(RedisCircuits(redis), org)
        except StorageError:
            return None
    return circuit.to_json(now)


@contextmanager
def counting(settings: Settings, org: OrgPolicy, model: str) -> Iterator[Callable[[str], int]]:
    """Counts a prompt's tokens by the API, at the org's speed and at no cost. Raises ConfigurationError without a key."""
    with tempfile.TemporaryDirectory(prefix="whimbrel-") as folder:
        gateway = Gateway(
            socket_path=Path(folder) / "api.sock",
            upstream=_upstream(settings),
            models=frozenset({model}),
            meter=NoMoney(),
            prices=load_prices(settings.prices),
            governor=_governor(settings, org, COUNTING_PATIENCE_SECONDS),
        )
        with gateway, token_counter(Path(folder) / "api.sock", model) as count:
            yield count


def _services(settings: Settings, database: Database) -> Services:
    sandbox, clock = BubblewrapSandbox(), SystemClock()
    hosts: dict[tuple[str, str], AnyHost] = {}

    def host(org: OrgPolicy) -> AnyHost:
        key = (org.host, org.org)
        return hosts.get(key) or hosts.setdefault(key, hosting(settings, database, clock).host(org))

    @functools.cache
    def renderer(revision: str) -> Renderer:
        return Renderer([_templates_of(settings, database, revision)], compiled=_compiled_templates(settings.home))

    @functools.cache
    def replies() -> Renderer:
        return Renderer([settings.templates, packaged("templates")], compiled=_compiled_templates(settings.home))

    def charged_to(run: Run, campaign: Campaign, accounts: Accounts) -> Meter:
        org = campaign.org_policy
        alerts = Alerts(run.org, run.attempt_key, org.quota.alert_at, read_audit_key(settings), clock, run)
        return LedgerMeter(database, accounts, clock, alerts, OrgMonth(org.org, org.timezone, org.quota.month))

    def judge(policy: JudgePolicy, run: Run, campaign: Campaign, accounts: Accounts, emit: Emit) -> Judge:
        # One line for all that it is asked in the attempt, and a socket that no sandbox sees.
        line = CappedMeter(charged_to(run, campaign, accounts), micro_usd(policy.max_usd))

        def open_gateway(seconds: float) -> contextlib.AbstractContextManager[Gateway]:
            return Gateway(
                socket_path=settings.home / "attempts" / run.attempt_key / "judge" / "api.sock",
                upstream=_upstream(settings),
                models=frozenset({policy.model}),
                meter=line,
                prices=load_prices(settings.prices),
                governor=_governor(settings, campaign.org_policy, seconds),
                on_request=emit,
            )

        return ApiJudge(policy.model, open_gateway)

    def gateways(org: OrgPolicy, meter: Meter) -> OpenGateway:
        def open_gateway(models: frozenset[str], context: StepContext) -> contextlib.AbstractContextManager[Gateway]:
            return Gateway(
                socket_path=context.workspace.scratch.parent / "api" / "api.sock",
                upstream=_upstream(settings),
                models=models,
                meter=CappedMeter(meter, MicroUsd(context.usd_cap_micro)),
                prices=load_prices(settings.prices),
                governor=_governor(settings, org, context.remaining_seconds()),
                on_request=context.emit,
                client=sandbox.user,
            )

        return open_gateway

    def claude(org: OrgPolicy, meter: Meter, templates: Renderer) -> Engine:
        return ClaudeEngine(sandbox, templates, gateways(org, meter), claude_binary(), secrets=_known_secrets(settings))

    @contextmanager
    def engines(run: Run, campaign: Campaign, accounts: Accounts) -> Iterator[Mapping[type, Engine]]:
        def previous(file: str) -> bytes | None:
            with database.reading() as tx:
                return records.rendering(tx, (run.org, campaign.policy.name, run.repository.name, file))

        templates = renderer(campaign.revision)
        made: dict[type, Engine] = {
            CommandStep: CommandEngine(sandbox),
            TemplateStep: TemplateEngine(templates, previous),
        }
        if campaign.policy.uses_model:
            org, meter = campaign.org_policy, charged_to(run, campaign, accounts)
            made[EditStep] = MessagesEngine(templates, gateways(org, meter), client_at)
            if campaign.policy.claude_steps:
                made[ClaudeStep] = claude(org, meter, templates)
        yield made

    return Services(
        home=settings.home,
        database=database,
        audit_key=read_audit_key(settings),
        clock=clock,
        sandbox=sandbox,
        host=host,
        conversation=host,
        catalogue=functools.partial(read_catalogue, settings, database),
        replies=replies,
        renderer=renderer,
        engines=engines,
        claude=claude,
        judge=judge,
        registries=RegistryServer,
    )


def _sourced(database: Database, org: OrgPolicy, ours: Mapping[str, str]) -> Sourced:
    """What is in use of an org's own repository: nothing, and why, where it cannot be read."""
    name = f"{org.org}/{org.policies_repository}"
    with database.reading() as tx:
        source = policy_sources.find(tx, org)
    if source is None or not source.commit:
        return Sourced(name, problem=(source and source.problem) or f"{name} was not read yet")
    try:
        return parse_source(source.files, source.name, ours)
    except PolicyError as error:
        return Sourced(source.name, problem=error.explanation)


def _upstream(settings: Settings) -> Upstream:
    if not settings.api_key:
        raise ConfigurationError("there is no key for the model", mend="set ANTHROPIC_API_KEY for the worker")
    return Upstream(settings.upstream, settings.api_key)


def _known_secrets(settings: Settings) -> tuple[str, ...]:
    return tuple(secret for secret in (settings.api_key, settings.audit_key) if secret)


def _governor(settings: Settings, org: OrgPolicy, patience_seconds: float) -> Governor:
    """The org's speed limits and breaker, in Redis for all workers; a preview, which has no Redis, has its own."""
    url = settings.redis_url
    return Governor(
        shared_storage(url) if url else MemoryStorage(),
        org.org,
        requests_per_minute=org.quota.requests_per_minute,
        tokens_per_hour=org.quota.tokens_per_hour,
        breaker=Breaker(RedisCircuits(connect_briefly(url)) if url else MemoryCircuits(), org.org, org.breaker),
        max_wait_seconds=patience_seconds,
    )


def _templates_of(settings: Settings, database: Database, revision: str) -> Path:
    """The revision's templates as files, written once: what a campaign started with is what its last attempt renders."""
    folder = settings.home / "revisions" / revision
    if folder.is_dir():
        return folder
    with database.reading() as tx:
        texts = campaigns.templates_of(tx, revision)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fresh = Path(scratch) / revision
        fresh.mkdir()
        for name, text in texts.items():
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder


def _compiled_templates(home: Path) -> Path:
    folder = home / "compiled"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _write_secret(file: Path, text: str) -> None:
    """Whole or not at all, and never over another process's."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(fresh, file)
    fresh.unlink()
