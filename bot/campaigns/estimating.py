"""Estimates: what a plan may cost, from the best that is known of its policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from sqlalchemy import Connection

from bot.domain import estimates
from bot.domain.estimates import Estimate, Source
from bot.domain.money import MicroUsd, micro_usd
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.prices import PriceTable
from bot.domain.steps import ClaudeStep
from bot.domain.variables import target_variables
from bot.errors import ConfigurationError, EngineError
from bot.rendering import prompt_of
from bot.services import Services
from bot.store import reports
from bot.store.campaigns import Plan

SAMPLE = 5
"""So many targets' prompts are counted: they differ little, and each is a request."""

Count = Callable[[str], int]
"""The tokens of a prompt. Raises EngineError where nobody can tell."""


def estimate(tx: Connection, org: OrgPolicy, policy: CampaignPolicy, targets: int) -> Estimate:
    """From what runs of this policy have cost on this org; without any, from the attempt's budget."""
    if not policy.uses_model and policy.judge is None:
        return estimates.free_of_charge()
    costs = reports.run_costs(tx, org.org, policy.name)
    return estimates.by_history(costs, targets, policy.budget) if costs else estimates.by_budget(targets, policy.budget)


def estimate_plan(
    services: Services,
    org: OrgPolicy,
    policy: CampaignPolicy,
    plan: Plan,
    prices: PriceTable,
    counting: Callable[[str], AbstractContextManager[Count]],
) -> Estimate:
    """The same, and without history from the first prompts of a sample of targets, counted for the step's model.

    `counting` raises ConfigurationError where nothing can be counted: it is the budget then, and says why. Raises PolicyError
    for a prompt that cannot be rendered.
    """
    targets = len(plan.targets)
    with services.database.reading() as tx:
        known = estimate(tx, org, policy, targets)
    if known.source is not Source.BUDGET or not targets or not policy.claude_steps:
        return known
    prompts = list(_first_prompts(services, policy, plan))
    try:
        with counting(policy.claude_steps[0].model) as count:
            tokens = sum(map(count, prompts)) // len(prompts)
        usual, long = (_run_cost(policy, prices, tokens, turns) for turns in (estimates.TURNS, estimates.LONG_TURNS))
    except (ConfigurationError, EngineError) as error:
        return replace(known, basis=f"{known.basis}, and its prompts could not be counted: {error.explanation}")
    return estimates.by_sessions(usual, long, _in_words(len(prompts), tokens), targets, policy.budget)


def _first_prompts(services: Services, policy: CampaignPolicy, plan: Plan) -> Iterator[str]:
    """Of the first session, of targets from all over the plan. A later session's may need what came of it."""
    renderer = services.renderer(plan.revision)
    for entry in plan.targets[:: -(-len(plan.targets) // SAMPLE)]:
        target = entry.target
        variables = target_variables(
            entry.repository, policy, revision=plan.revision, campaign="", path=target.path, base=target.base, head=target.head
        )
        yield prompt_of(policy.claude_steps[0], renderer, {**variables, "outputs": {}})


def _run_cost(policy: CampaignPolicy, prices: PriceTable, prompt_tokens: int, turns: int) -> MicroUsd:
    """All sessions are taken to begin as the first one does; a judge, to cost what it may.

    Raises ConfigurationError for a model without a price.
    """
    judge = micro_usd(policy.judge.max_usd) if policy.judge else 0
    return MicroUsd(judge + sum(_session_cost(step, prices, prompt_tokens, turns) for step in policy.claude_steps))


def _session_cost(step: ClaudeStep, prices: PriceTable, prompt_tokens: int, turns: int) -> MicroUsd:
    price = prices.get(step.model)
    if price is None:
        raise ConfigurationError(f"{step.model} is not in the price table")
    amount = estimates.session_cost(price, prompt_tokens, min(turns, step.max_turns))
    return amount if step.max_usd is None else min(amount, micro_usd(step.max_usd))


def _in_words(sample: int, tokens: int) -> str:
    of = f"the average of {sample} targets" if sample > 1 else "of one target"
    return (
        f"a guess, for this policy has no history here: {tokens:,} tokens in the first prompt (counted, {of}), "
        f"{estimates.CLAUDE_CODE_TOKENS:,} that Claude Code adds, and {estimates.TURNS} turns (p90: {estimates.LONG_TURNS}), "
        f"each of {estimates.ANSWER_TOKENS:,} tokens answered and {estimates.RESULT_TOKENS:,} read"
    )
