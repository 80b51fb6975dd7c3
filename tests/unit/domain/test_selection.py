"""Selection: each reason to skip, in words, and the cheap ones before any file is asked for."""

from __future__ import annotations

import glob
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.policies import CampaignPolicy, RepositoryPolicy
from bot.domain.repositories import Repository
from bot.domain.selection import (
    FileFacts,
    WantedFiles,
    decide_by_files,
    decide_by_listing,
    decide_by_properties,
    literal,
    wanted_files,
)

REPOSITORY = Repository(
    "acme",
    "Shop-API",
    "trunk",
    "a" * 40,
    size_kb=2048,
    languages=frozenset({"python"}),
    topics=frozenset({"Payments"}),
)
NOTHING = FileFacts(frozenset())


def policy(**select: object) -> CampaignPolicy:
    return CampaignPolicy.model_validate({"name": "tidy", "description": "x", "steps": [{"run": "true"}], "select": select})


def by_files(files: dict[str, list[str]], *paths: str, own: dict[str, object] | None = None) -> str | None:
    asking = policy(files=files)
    existing = frozenset(paths) & frozenset(wanted_files(asking).literals)
    repositorys = None if own is None else RepositoryPolicy.model_validate(own)
    return decide_by_files(REPOSITORY, asking, FileFacts(existing, paths), repositorys)


@pytest.mark.parametrize(
    ("changes", "select", "reason"),
    [
        ({}, {}, None),
        ({"head": None}, {}, "empty: there is no commit yet"),
        ({"archived": True}, {}, "archived"),
        ({"archived": True}, {"archived": True}, None),
        ({"fork": True}, {}, "a fork"),
        ({"fork": True}, {"forks": True}, None),
        ({}, {"include": ["web-*", "docs"]}, "not included by `web-*`, `docs`"),
        ({}, {"include": ["web-*", "shop-*"]}, None),
        ({}, {"exclude": ["x", "SHOP-*"]}, "excluded by `SHOP-*`"),
        ({"name": "group/shop"}, {"include": ["*"]}, None),
        ({}, {"topics": {"none": ["legacy", "payments"]}}, "excluded by topic payments"),
        ({}, {"topics": {"any": ["web", "mail"]}}, "has none of the topics `web`, `mail`"),
        ({}, {"topics": {"any": ["web", "payments"]}}, None),
        ({}, {"languages": ["Go"]}, "has python, not `Go`"),
        ({}, {"languages": ["Python"]}, None),
        ({"languages": frozenset()}, {"languages": ["Go"]}, "has no known language, not `Go`"),
        ({"size_kb": 3 * 1024 * 1024}, {}, "3,072 MB, above max_size_mb 500"),
        ({"size_kb": 500 * 1024}, {}, None),
    ],
)
def test_by_listing(changes: dict[str, object], select: dict[str, object], reason: str | None) -> None:
    assert decide_by_listing(replace(REPOSITORY, **changes), policy(**select)) == reason  # type: ignore[arg-type]


def test_the_first_reason_is_told() -> None:
    repository = replace(REPOSITORY, head=None, archived=True, fork=True)
    assert decide_by_listing(repository, policy(exclude=["*"])) == "empty: there is no commit yet"


@pytest.mark.parametrize(
    ("files", "literals", "needs_listing"),
    [
        ({}, (), False),
        ({"exist": ["setup.py"], "absent": ["pyproject.toml", "setup.py"]}, ("pyproject.toml", "setup.py"), False),
        ({"exist": ["**/setup.py", "a"]}, ("a",), True),
        ({"absent": ["docs/"]}, (), True),
    ],
)
def test_only_what_is_needed_is_asked_for(files: dict[str, list[str]], literals: tuple[str, ...], needs_listing: bool) -> None:
    assert wanted_files(policy(files=files)) == WantedFiles(literals, needs_listing)


@pytest.mark.parametrize(
    ("files", "paths", "reason"),
    [
        ({"exist": ["setup.py"]}, ["setup.py"], None),
        ({"exist": ["setup.py"]}, ["sub/setup.py"], "no setup.py on trunk"),
        ({"exist": ["**/setup.py"]}, ["sub/setup.py"], None),
        ({"exist": ["**/setup.py"]}, ["setup.py"], None),
        ({"exist": ["*.py"]}, ["sub/setup.py"], "no *.py on trunk"),
        ({"exist": ["docs/"]}, ["docs/a/b.md"], None),
        ({"exist": ["docs/"]}, ["docs"], "no docs/ on trunk"),
        ({"absent": ["pyproject.toml"]}, ["pyproject.toml"], "pyproject.toml is on trunk"),
        ({"absent": ["**/*.lock"]}, ["a/b.lock"], "a/b.lock is on trunk"),
        ({"absent": ["**/*.lock"]}, ["a/b.txt"], None),
    ],
)
def test_by_files(files: dict[str, list[str]], paths: list[str], reason: str | None) -> None:
    assert by_files(files, *paths) == reason


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (None, None),
        ({}, None),
        ({"enabled": False}, "opted out in .whimbrel.yaml: enabled is false"),
        ({"campaigns": {"tidy": False}}, "opted out in .whimbrel.yaml: campaigns.tidy is false"),
        ({"campaigns": {"other": False, "tidy": True}}, None),
        ({"enabled": False, "campaigns": {"tidy": True}}, "opted out in .whimbrel.yaml: enabled is false"),
    ],
)
def test_opting_out(own: dict[str, object] | None, reason: str | None) -> None:
    assert by_files({}, own=own) == reason


@given(st.text())
def test_an_escaped_name_is_the_name(name: str) -> None:
    assert literal(glob.escape(name)) == name


@pytest.mark.parametrize("pattern", ["*", "a?", "[ab]", "a*[*]", "tool-[0-9]"])
def test_what_may_match_several_is_no_name(pattern: str) -> None:
    assert literal(pattern) is None


def test_an_orgs_own_properties_decide() -> None:
    asked = policy(properties={"tier": ["gold", "silver"], "team": ["payments"]})
    assert decide_by_properties(asked, {"tier": ("gold",), "team": ("web", "payments")}) is None
    told = "its property tier is bronze: wanted is gold or silver"
    assert decide_by_properties(asked, {"tier": ("bronze",), "team": ("payments",)}) == told
    assert decide_by_properties(asked, {"tier": ("gold",)}) == "its property team is not set: wanted is payments"
    assert decide_by_properties(policy(), {}) is None
