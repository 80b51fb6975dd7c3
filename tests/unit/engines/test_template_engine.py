"""Template steps on a real tree: each mode, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.policies import Limits
from bot.domain.steps import TemplateStep
from bot.engines.merging import merged
from bot.engines.template import TemplateEngine
from bot.errors import ChangeRefused, PolicyError
from bot.ports import StepContext, Workspace
from bot.rendering import Renderer

BASE = "one\ntwo\nthree\nfour\n.\n.\n.\nfive\n"
LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8).map(lambda lines: "".join(f"{line}\n" for line in lines))


@dataclass
class Scene:
    """A workspace, a template that renders `text`, and what the bot rendered before."""

    folder: Path
    previous: dict[str, bytes] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    rendered: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tree", "home", "scratch", "templates"):
            (self.folder / name).mkdir()
        (self.folder / "templates/a.j2").write_text("{{ vars.text }}")

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def apply(self, mode: str, text: str, *, to: str = "docs/{{ repo.name }}.md") -> None:
        engine = TemplateEngine(Renderer([self.folder / "templates"]), self.previous.get)
        step = TemplateStep.model_validate({"template": "a.j2", "to": to, "mode": mode})
        engine.apply(step, self.context(text))

    def context(self, text: str) -> StepContext:
        return StepContext(
            workspace=Workspace(self.tree, self.folder / "home", self.folder / "scratch"),
            variables={"policy": "tidy", "repo": {"name": "shop"}, "vars": {"text": text}},
            limits=Limits(),
            usd_cap_micro=0,
            remaining_seconds=lambda: 60.0,
            emit=lambda message, **_: self.told.append(message),
            artifact=lambda kind, content: None,
            rendered=self.rendered.__setitem__,
            output=lambda name, value: None,
            cancelled=lambda: False,
        )

    def put(self, content: bytes, path: str = "docs/shop.md") -> Path:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def read(self, path: str = "docs/shop.md") -> bytes:
        return (self.tree / path).read_bytes()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("create", None, b"New\n"),
        ("create", b"Old\n", b"Old\n"),
        ("create", b"\xff\x00", b"\xff\x00"),
        ("overwrite", None, b"New\n"),
        ("overwrite", b"Old\n", b"New\n"),
        ("block", None, b"<!-- whimbrel:tidy begin -->\nNew\n<!-- whimbrel:tidy end -->\n"),
        ("block", b"# A\n", b"# A\n\n<!-- whimbrel:tidy begin -->\nNew\n<!-- whimbrel:tidy end -->\n"),
        ("merge", None, b"New\n"),
        ("merge", b"Old\n", b"Old\nNew\n"),
        ("merge", b"New\n", b"New\n"),
        ("merge", b"New\r\n", b"New\r\n"),
    ],
)
def test_each_mode(scene: Scene, mode: str, before: bytes | None, after: bytes) -> None:
    if before is not None:
        scene.put(before)
    scene.apply(mode, "New\n")
    assert scene.read() == after
    scene.apply(mode, "New\n")
    assert scene.read() == after
    assert scene.told[-1] == "docs/shop.md is as it should be"
    assert scene.rendered == {"docs/shop.md": b"New\n"}


def test_what_was_done_is_told(scene: Scene) -> None:
    scene.apply("overwrite", "1")
    scene.apply("overwrite", "2")
    assert scene.told == ["docs/shop.md created", "docs/shop.md changed"]


def test_a_script_stays_executable(scene: Scene) -> None:
    scene.put(b"old", "run.sh").chmod(0o755)
    scene.apply("overwrite", "new", to="run.sh")
    assert (scene.tree / "run.sh").stat().st_mode & 0o777 == 0o755


def test_local_edits_and_the_template_s_both_stay(scene: Scene) -> None:
    scene.previous["docs/shop.md"] = BASE.encode()
    scene.put(BASE.replace("one", "ONE (ours)").replace("\n", "\r\n").encode())
    scene.apply("merge", BASE.replace("five", "FIVE"))
    assert scene.read() == b"ONE (ours)\r\ntwo\r\nthree\r\nfour\r\n.\r\n.\r\n.\r\nFIVE\r\n"
    assert scene.rendered == {"docs/shop.md": BASE.replace("five", "FIVE").encode()}
    assert not list((scene.folder / "scratch").iterdir())


def test_an_unchanged_template_changes_no_edited_file(scene: Scene) -> None:
    scene.previous["docs/shop.md"] = BASE.encode()
    scene.put(b"all ours")
    scene.apply("merge", BASE)
    assert scene.read() == b"all ours"


@pytest.mark.parametrize(
    ("ours", "theirs", "places"),
    [
        (BASE.replace("two", "2"), BASE.replace("two", "II"), ["docs/shop.md:2: changed here and in the template: `2`"]),
        (
            BASE.replace("one", "1").replace("five", "5"),
            BASE.replace("one", "I").replace("five", "V"),
            [
                "docs/shop.md:1: changed here and in the template: `1`",
                "docs/shop.md:8: changed here and in the template: `5`",
            ],
        ),
        (
            BASE.replace("three\n", ""),
            BASE.replace("three", "III"),
            ["docs/shop.md: the template changes lines that were deleted here"],
        ),
    ],
)
def test_a_conflict_is_refused_with_its_lines(scene: Scene, ours: str, theirs: str, places: list[str]) -> None:
    scene.previous["docs/shop.md"] = BASE.encode()
    scene.put(ours.encode())
    with pytest.raises(ChangeRefused) as caught:
        scene.apply("merge", theirs)
    assert list(caught.value.reasons) == places
    assert scene.read() == ours.encode()


@pytest.mark.parametrize("mode", ["overwrite", "block", "merge"])
@pytest.mark.parametrize(("content", "reason"), [(b"a\xff", "is not text in UTF-8"), (b"a\0b", "is binary")])
def test_a_file_that_is_not_text_is_refused(scene: Scene, mode: str, content: bytes, reason: str) -> None:
    scene.put(content)
    with pytest.raises(ChangeRefused, match=reason):
        scene.apply(mode, "New\n")
    assert scene.read() == content


@pytest.mark.parametrize("mode", ["create", "overwrite", "block", "merge"])
@pytest.mark.parametrize(
    "to", ["../out.md", "/tmp/x.md", "link.md", "folder/x.md", ".git/config.md", "{{ vars.text }}/../../x.md"]
)
def test_nothing_outside_the_tree_is_touched(scene: Scene, mode: str, to: str) -> None:
    outside = scene.folder / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (scene.tree / "link.md").symlink_to(outside / "secret.md")
    (scene.tree / "folder").symlink_to(outside)
    unchecked: dict[str, Any] = {"template": "a.j2", "to": to, "mode": mode}
    engine = TemplateEngine(Renderer([scene.folder / "templates"]), scene.previous.get)
    with pytest.raises(ChangeRefused):
        engine.apply(TemplateStep.model_construct(**unchecked), scene.context("x"))
    assert [file.name for file in outside.iterdir()] == ["secret.md"]
    assert (outside / "secret.md").read_text() == "secret"


def test_a_template_that_cannot_be_rendered_changes_nothing(scene: Scene) -> None:
    with pytest.raises(PolicyError) as caught:
        scene.apply("create", "x", to="{{ polcy }}")
    assert caught.value.mend == "did you mean policy?"
    assert not list(scene.tree.iterdir())


@given(ours=LINES, theirs=LINES)
def test_without_an_earlier_rendering_nothing_is_lost_and_it_settles(
    tmp_path_factory: pytest.TempPathFactory, ours: str, theirs: str
) -> None:
    scratch: Any = tmp_path_factory.getbasetemp()
    both = merged("a", ours, None, theirs, scratch)
    assert _is_within(ours, both)
    assert _is_within(theirs, both)
    assert merged("a", both, None, theirs, scratch) == both


def _is_within(lines: str, text: str) -> bool:
    """Are all the lines in the text, in their order?"""
    rest = iter(text.splitlines())
    return all(line in rest for line in lines.splitlines())
