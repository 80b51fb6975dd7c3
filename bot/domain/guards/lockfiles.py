"""Guard `lockfiles`: what is installed changes because a manifest asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.guards.change import Change, Edit, Finding

_NODE = ("package.json", "pnpm-workspace.yaml", ".npmrc", ".yarnrc.yml")
_PYTHON = ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.in", "requirements.txt")
MANIFESTS: dict[str, tuple[str, ...]] = {
    "package-lock.json": _NODE,
    "npm-shrinkwrap.json": _NODE,
    "yarn.lock": _NODE,
    "pnpm-lock.yaml": _NODE,
    "bun.lock": _NODE,
    "bun.lockb": _NODE,
    "deno.lock": ("deno.json", "deno.jsonc", *_NODE),
    "poetry.lock": _PYTHON,
    "uv.lock": (*_PYTHON, "uv.toml"),
    "pdm.lock": _PYTHON,
    "pylock.toml": _PYTHON,
    "Pipfile.lock": _PYTHON,
    "requirements.lock": _PYTHON,
    "Cargo.lock": ("Cargo.toml",),
    "go.sum": ("go.mod",),
    "Gemfile.lock": ("Gemfile", ".ruby-version"),
    "composer.lock": ("composer.json",),
    "gradle.lockfile": ("build.gradle", "build.gradle.kts", "libs.versions.toml", "settings.gradle", "settings.gradle.kts"),
    "mix.lock": ("mix.exs",),
    "flake.lock": ("flake.nix",),
    "Podfile.lock": ("Podfile",),
    "pubspec.lock": ("pubspec.yaml",),
    "packages.lock.json": ("Directory.Packages.props",),
}


def is_lockfile(edit: Edit) -> bool:
    return edit.name in MANIFESTS


def locks_kept(change: Change) -> Iterator[Finding]:
    """A manifest in the same folder, above or below it (workspaces) will do; so will a lock file that takes another's place."""
    changed = {edit.name for edit in change.edits}
    new = [edit for edit in change.where(is_lockfile) if edit.before is None]
    for edit in change.where(is_lockfile):
        manifests = MANIFESTS[edit.name]
        asked = changed & set(manifests) or any(name.endswith((".gemspec", ".csproj")) for name in changed)
        if edit.after is None and not (new or asked):
            yield Finding(edit.path, 0, "the lock file is gone, and no other takes its place")
        elif edit.after is not None and not asked:
            yield Finding(
                edit.path, edit.added[0][0] if edit.added else 0, f"it changes, and none of {', '.join(manifests[:3])} does"
            )
