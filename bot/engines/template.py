"""A file rendered from a template: created, overwritten, put in as a block, or merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.domain.blocks import with_block
from bot.domain.steps import Step, TemplateStep
from bot.engines.merging import merged
from bot.errors import ChangeRefused
from bot.git.files import read_file, write_file
from bot.ports import StepContext
from bot.rendering import Renderer


class TemplateEngine:
    """Makes a TemplateStep's change. `previous` gives what this bot rendered last for a path, None where it never did."""

    def __init__(self, renderer: Renderer, previous: Callable[[str], bytes | None]):
        self._renderer = renderer
        self._previous = previous

    def apply(self, step: Step, context: StepContext) -> None:
        """Raises PolicyError for a template that cannot be rendered, ChangeRefused for a file that cannot be changed."""
        assert isinstance(step, TemplateStep), "each type of step has its own engine"
        path = self._renderer.render_text(step.to, context.variables)
        rendering = self._renderer.render(step.template, context.variables)
        existing = read_file(context.workspace.tree, path)
        previous = self._previous(path) if step.mode == "merge" else None
        block = str(context.variables["policy"])
        content = rendered_file(step, path, existing, rendering, previous, block=block, scratch=context.workspace.scratch)
        context.rendered(path, rendering.encode())
        if content == existing:
            context.emit(f"{path} is as it should be", path=path)
            return
        write_file(context.workspace.tree, path, content)
        context.emit(f"{path} {'created' if existing is None else 'changed'}", path=path)


def rendered_file(
    step: TemplateStep,
    path: str,
    existing: bytes | None,
    rendering: str,
    previous: bytes | None,
    *,
    block: str,
    scratch: Path,
) -> bytes:
    """What the file is to hold. It needs no checkout; `scratch` is an existing folder for a three-way merge.

    Raises ChangeRefused for broken markers, a conflict, and a file to change that is not text in UTF-8.
    """
    if step.mode == "create" and existing is not None:
        return existing
    text = None if existing is None else _text(path, existing)
    match step.mode:
        case "block":
            return with_block(path, text, block, rendering).encode()
        case "merge" if text is not None:
            return merged(path, text, previous, rendering, scratch).encode()
        case _:
            return rendering.encode()


def _text(path: str, content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ChangeRefused([f"{path}: is not text in UTF-8 (byte {error.start})"]) from error
    if "\0" in text:
        raise ChangeRefused([f"{path}: is binary"])
    return text
