"""Names in a tree that must never reach a disk."""

from __future__ import annotations

import re

MAX_DEPTH = 128
"""Folders in folders. A tree nested deeper than this is refused, on its way in and on its way out."""

_IGNORED_BY_HFS = dict.fromkeys(
    [0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF],
)
_NTFS_SEPARATOR = re.compile(r"[\\:]")


def is_dot_git(name: str) -> bool:
    """Would Linux, macOS (HFS+) or Windows (NTFS) take this name for `.git`?

    Case, characters that HFS+ does not see, trailing dots and spaces, streams, short names: as git's own checkout refuses.
    """
    folded = name.translate(_IGNORED_BY_HFS).casefold()
    if "git" not in folded:
        return False
    return folded == ".git" or any(part.rstrip(" .") in (".git", "git~1") for part in _NTFS_SEPARATOR.split(folded))


def is_safe(name: str) -> bool:
    """May a tree's entry of this name be written into a folder?"""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name and not is_dot_git(name)
