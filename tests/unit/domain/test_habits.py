"""A commit's message follows the repository's habit, and a body what its host takes."""

import pytest

from bot.domain.habits import prefix_of
from bot.domain.markdown import fitted


@pytest.mark.parametrize(
    ("subjects", "prefix"),
    [
        ([], ""),
        (["feat: one", "fix(api): two"], ""),
        (["feat: one", "fix(api): two", "chore(deps)!: three", "Merge it"], "chore: "),
        (["feat: one", "fix: two", "ci: three", "Four", "Five", "Six"], ""),
        (["Note: one", "https: two", "Mend: three", "Say: four"], ""),
    ],
)
def test_conventional_commits_are_told_from_the_log(subjects: list[str], prefix: str) -> None:
    assert prefix_of(subjects) == prefix


def test_a_body_that_fits_stays() -> None:
    assert fitted("a\nb\n", 4) == "a\nb\n"


def test_a_body_that_is_too_long_loses_its_middle_and_says_so() -> None:
    text = "".join(f"line {number}\n" for number in range(10_000)) + "To opt out, do this.\n"
    cut = fitted(text, 65_536)
    assert len(cut) <= 65_536
    assert cut.startswith("line 0\nline 1\n")
    assert cut.endswith("line 9999\nTo opt out, do this.\n")
    assert "_Lines are left out here: the host takes at most 65,536 characters._" in cut
