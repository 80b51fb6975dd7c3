"""Rendering: values are never source, nothing outside the roots is read, and a mistake has its line and its mend."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.yaml_lines import read_yaml
from bot.errors import PolicyError
from bot.rendering import MAX_CHARACTERS, Renderer, quoted, slug

VARIABLES = {"repo": {"name": "{{ 7*7 }}", "description": "{% include '/etc/passwd' %}"}, "policy": "tidy", "big": 10**6}


def renderer(folder: Path, **templates: str) -> Renderer:
    for name, text in templates.items():
        (folder / f"{name}.j2").write_text(text)
    return Renderer([folder])


def refusal(render: Renderer, name: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        render.render(name, VARIABLES)
    return caught.value


def test_a_repository_s_values_are_never_template_source(tmp_path: Path) -> None:
    render = renderer(tmp_path, a="{{ repo.name }} {{ repo.description }}", b="{% include 'a.j2' %}")
    literal = "{{ 7*7 }} {% include '/etc/passwd' %}"
    assert render.render("a.j2", VARIABLES) == render.render("b.j2", VARIABLES) == literal
    assert render.render_text("x/{{ repo.name }}", VARIABLES) == "x/{{ 7*7 }}"


def test_blocks_leave_no_line_behind_and_the_final_newline_stays(tmp_path: Path) -> None:
    render = renderer(tmp_path, a="a\n  {% if true %}\nb & <c>\n  {% endif %}\nd\n")
    assert render.render("a.j2", {}) == "a\nb & <c>\nd\n"


def test_the_first_root_wins(tmp_path: Path) -> None:
    mine, packaged = tmp_path / "mine", tmp_path / "packaged"
    for root, names in ((mine, "a"), (packaged, "ab")):
        root.mkdir()
        for name in names:
            (root / name).write_text(root.name)
    both = Renderer([mine, packaged, tmp_path / "missing"])
    assert (both.render("a", {}), both.render("b", {})) == ("mine", "packaged")


@pytest.mark.parametrize(
    ("source", "place", "message", "mend"),
    [
        ("x\n{{ repo.nam }}", "a.j2:2", "has no attribute 'nam'", "did you mean name?"),
        ("\n\n{{ polcy }}", "a.j2:3", "'polcy' is undefined", "did you mean policy?"),
        ("{{ polcy.x }}", "a.j2:1", "'polcy' is undefined", "did you mean policy?"),
        ("{{ zzzzzz }}", "a.j2:1", "'zzzzzz' is undefined", ""),
        ("{{ policy | neutrl }}", "a.j2:1", "No filter named 'neutrl'", "did you mean neutral?"),
        ("\n{% if %}", "a.j2:2", "Expected an expression", ""),
        ("{% include 'b.j2' %}", "b.j2:2", "'polcy' is undefined", "did you mean policy?"),
        ("{% include 'bb.j2' %}", "a.j2", "there is no template bb.j2", "did you mean b.j2?"),
        ("\n{{ 1 / 0 }}", "a.j2:2", "ZeroDivisionError", ""),
        ("{{ policy + 1 }}", "a.j2:1", "TypeError", ""),
        ("{% include 'a.j2' %}", "a.j2:1", "RecursionError", ""),
    ],
)
def test_a_mistake_has_its_line_and_its_mend(tmp_path: Path, source: str, place: str, message: str, mend: str) -> None:
    error = refusal(renderer(tmp_path, a=source, b="\n{{ polcy }}"), "a.j2")
    assert (error.place, error.mend) == (place, mend)
    assert message in str(error)


@pytest.mark.parametrize(
    "source",
    [
        "{{ policy.__class__.__mro__ }}",
        "{{ repo.update({'name': 'x'}) }}",
        "{{ ''.join.__globals__ }}",
        "{{ range(10 ** 9) | list }}",
        "{% for _ in range(100000) %}{{ 'x' * 100 }}{% endfor %}",
        "{{ 'x' * (big * 3) }}",
    ],
)
def test_a_template_cannot_break_out_or_fill_the_memory(tmp_path: Path, source: str) -> None:
    assert refusal(renderer(tmp_path, a=source), "a.j2").place.startswith("a.j2")


def test_the_largest_rendering_is_allowed(tmp_path: Path) -> None:
    assert len(renderer(tmp_path, a="{{ 'x' * length }}").render("a.j2", {"length": MAX_CHARACTERS})) == MAX_CHARACTERS


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "link", "folder/secret", "a\0b", "", ".", "x" * 5000])
def test_nothing_outside_the_roots_is_read(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    assert "there is no template" in str(refusal(Renderer([root]), name))


def test_a_binary_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_bytes(b"\xff\xfe")
    assert str(refusal(Renderer([tmp_path]), "a.j2")) == "a.j2: is not UTF-8"


def test_an_inline_template_has_a_place_too(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="<inline>:2: 'polcy' is undefined"):
        Renderer([tmp_path]).render_text("\n{{ polcy }}", VARIABLES)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoted_is_read_back_by_json_and_toml(text: str) -> None:
    assert json.loads(quoted(text)) == text
    assert tomllib.loads(f"a = {quoted(text)}")["a"] == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_quoted_is_read_back_by_yaml(text: str) -> None:
    assert read_yaml(f"a: {quoted(text)}", "x").data["a"] == text


def test_slug() -> None:
    assert slug("  Add a README, please! ") == "add-a-readme-please"


def test_what_another_process_has_compiled_is_rendered_alike(tmp_path: Path) -> None:
    templates, compiled = tmp_path / "templates", tmp_path / "compiled"
    templates.mkdir()
    compiled.mkdir()
    (templates / "a.j2").write_text("{{ policy }}\n{{ gone }}")
    for _ in range(2):
        with pytest.raises(PolicyError) as caught:
            Renderer([templates], compiled=compiled).render("a.j2", VARIABLES)
        assert str(caught.value).startswith("a.j2:2: 'gone' is undefined")
    assert list(compiled.iterdir())
    (templates / "a.j2").write_text("{{ policy }}!")
    assert Renderer([templates], compiled=compiled).render("a.j2", VARIABLES) == "tidy!"
