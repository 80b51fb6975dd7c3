"""The guards, on the seeded table and on what each policy may say of them."""

import pytest

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.domain.guards.change import change_of
from bot.domain.guards.policy import NAMES, Guards, RepositoryGuards
from bot.domain.guards.reading import read_tests
from bot.domain.guards.table import GUARDS, inspect, judge_guards
from bot.domain.policies import RepositoryPolicy
from bot.domain.policy_files import check_ceilings, parse_campaign, parse_org
from bot.domain.verdicts import Decision, Verdict, together
from bot.errors import PolicyError
from tests.unit.guards import blind_cases
from tests.unit.guards.table import BLIND, Row, rows

TABLE = list(rows())


def _id(row: Row) -> str:
    return row.about


def _change(base: dict[str, str], change: dict[str, str | None], rendered: dict[str, bytes] | None = None):
    files = [FileChange(path, FileMode.REGULAR, None if text is None else text.encode()) for path, text in change.items()]
    contents = {path: text.encode() for path, text in base.items()}
    return change_of(Changeset("0" * 40, tuple(files)), contents.get, base.__contains__, rendered)


@pytest.mark.parametrize("row", [row for row in TABLE if row.wanted], ids=_id)
def test_a_bad_change_is_stopped_by_what_must_stop_it(row: Row) -> None:
    assert row.wanted in row.stopped


@pytest.mark.parametrize("row", [row for row in TABLE if not row.wanted], ids=_id)
def test_a_good_change_is_not_stopped(row: Row) -> None:
    assert not row.reasons


def test_the_table_is_large_enough_and_every_guard_is_in_it() -> None:
    bad, good = [row for row in TABLE if row.wanted], [row for row in TABLE if not row.wanted]
    assert len(bad) >= 40
    assert len(good) >= 40
    assert {row.wanted for row in bad} == {*NAMES, "paths", "links"}
    assert set(GUARDS) == set(NAMES) - {"size"}
    assert set(BLIND) == {case.about for case in blind_cases.BAD}


def test_no_reason_has_the_secret_in_it() -> None:
    token = "ghp_" + "q8Rk2VwX4nL7tYb1Zc5JmD0sHf6GaP3uEi9o"
    (found,) = [each for each in inspect(_change({}, {"a.sh": f"export T={token}\n"}), Guards()) if each.findings]
    assert found.name == "secrets"
    assert found.findings[0].place == "a.sh:1"
    assert token not in str(found)


def test_what_a_template_rendered_is_the_policys_own_word() -> None:
    base = {".github/workflows/ci.yml": blind_cases.WORKFLOW}
    laxer = blind_cases.WORKFLOW.replace("ruff check .", "ruff check . || true")
    change = {".github/workflows/ci.yml": laxer}
    assert judge_guards(inspect(_change(base, change), Guards())).decision is Decision.FAIL
    assert judge_guards(inspect(_change(base, change, {".github/workflows/ci.yml": laxer.encode()}), Guards())).passed
    edited = _change(base, change, {".github/workflows/ci.yml": blind_cases.WORKFLOW.encode()})
    assert not judge_guards(inspect(edited, Guards())).passed


def test_a_guard_may_warn_or_be_off() -> None:
    change = _change({"LICENSE": "MIT\n"}, {"LICENSE": None})
    blocked, warned, off = (judge_guards(inspect(change, Guards(licences=mode))) for mode in ("block", "warn", "off"))
    assert blocked.reason == "licences: LICENSE: the licence's own file is gone"
    assert warned.passed
    assert warned.reason == "licences: told, and let through"
    assert off.reason == f"none of {len(NAMES) - 1} guards objects"


def test_the_size_is_the_policys() -> None:
    change = _change({"a.py": "x = 1\n"}, {"a.py": "x = 2\n", "b.py": "y = 1\n"})
    (size,) = [each for each in inspect(change, Guards(max_changed_lines=2, max_files=1)) if each.findings]
    assert [each.reason for each in size.findings] == [
        "3 lines are changed, 2 of them here; `max_changed_lines` is 2",
        "2 files are changed; `max_files` is 1",
    ]


def test_a_repository_can_only_tighten() -> None:
    policy = parse_campaign(CAMPAIGN + "guards: {ci: 'off', size: warn, max_files: 10}\n", "notes.yaml")
    own = RepositoryPolicy(guards=RepositoryGuards(ci="warn", tests="off", max_files=100, max_changed_lines=50))
    guards = own.tighten(policy).guards
    assert (guards.ci, guards.size, guards.tests, guards.max_files, guards.max_changed_lines) == (
        "warn",
        "warn",
        "block",
        10,
        50,
    )


def test_the_operator_may_forbid_that_a_guard_is_turned_off() -> None:
    org = parse_org(ORG, "acme.yaml")
    check_ceilings(org, parse_campaign(CAMPAIGN + "guards: {ci: 'off'}\n", "notes.yaml"))
    with pytest.raises(PolicyError, match="secrets at warn, and acme has it block everywhere"):
        check_ceilings(org, parse_campaign(CAMPAIGN + "guards: {secrets: warn}\n", "notes.yaml"))


def test_one_verdict_of_all_parts() -> None:
    checks = Verdict("checks", Decision.PASS, "its check passed")
    guards = judge_guards(inspect(_change({"LICENSE": "MIT\n"}, {"LICENSE": None}), Guards()))
    assert together([checks]).reason == "its check passed"
    whole = together([guards, checks])
    assert whole.reason == "a guard objects: licences: LICENSE: the licence's own file is gone"
    assert whole.part("checks") is checks
    assert "    ✗ licences: LICENSE: the licence's own file is gone" in whole.lines()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("test_a.py", "def test_a(): assert " + "(" * 3000),
        ("test_a.py", "def test_a(): assert " + "-" * 50_000 + "1"),
        ("a.test.js", "'\\" * 50_000),
        ("a.test.js", 'it("' * 30_000),
        ("src/test/A.java", "@Test a(" * 20_000),
        ("src/test/A.java", "@Disabled " * 30_000),
        ("a_test.rb", "=begin\n" * 20_000),
        (".github/workflows/ci.yml", "[" * 20_000),
        ("CODEOWNERS", "[[[ @a\n!x @b\n" * 200),
        ("CODEOWNERS", "/a/**/b/**/c/**/" * 100 + " @a"),
        (".github/workflows/ci.yml", "run: mvn " * 20_000),
        ("a.txt", "eyJ" * 50_000),
    ],
)
def test_text_that_is_made_to_be_slow_or_broken_is_looked_at_all_the_same(path: str, text: str) -> None:
    """In a moment: the test's own time limit would tell otherwise."""
    inspect(_change({path: "x\n"}, {path: text}), Guards())
    read_tests(path, text)


CAMPAIGN = "name: notes\ndescription: Notes.\nsteps: [{run: 'true'}]\n"
ORG = "org: acme\nhost: local:host\nquota: {usd_per_month: 5}\ncampaigns: [notes]\nceilings: {guards: [secrets]}\n"
