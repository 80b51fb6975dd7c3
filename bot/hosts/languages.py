"""The languages of a tree, from the names of its files: for hosts that do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SHARE = 0.1
"""A language counts from this share of the bytes of all files whose language is known."""

_EXTENSIONS = {
    "c": "c", "h": "c", "cc": "c++", "cpp": "c++", "cxx": "c++", "hpp": "c++", "cs": "c#", "clj": "clojure", "css": "css",
    "scss": "css", "dart": "dart", "ex": "elixir", "exs": "elixir", "erl": "erlang", "go": "go", "groovy": "groovy",
    "hs": "haskell", "tf": "hcl", "html": "html", "java": "java", "cjs": "javascript", "js": "javascript",
    "jsx": "javascript", "mjs": "javascript", "jl": "julia", "ipynb": "jupyter notebook", "kt": "kotlin", "kts": "kotlin",
    "lua": "lua", "m": "objective-c", "pl": "perl", "pm": "perl", "php": "php", "ps1": "powershell", "py": "python",
    "pyi": "python", "r": "r", "rb": "ruby", "rs": "rust", "sass": "css", "scala": "scala", "bash": "shell", "sh": "shell",
    "zsh": "shell", "sql": "sql", "svelte": "svelte", "swift": "swift", "cts": "typescript", "mts": "typescript",
    "ts": "typescript", "tsx": "typescript", "vue": "vue", "zig": "zig",
}  # fmt: skip


def languages(files: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Lower-case names, from (path, size in bytes)."""
    sizes: Counter[str] = Counter()
    for path, size in files:
        _, dot, extension = path.rpartition("/")[2].rpartition(".")
        language = _EXTENSIONS.get(extension.lower()) if dot else None
        if language is not None:
            sizes[language] += size
    total = sizes.total()
    return frozenset(language for language, size in sizes.items() if size and size >= SHARE * total)
