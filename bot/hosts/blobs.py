"""Files that a host gives as text, by GraphQL: are they what the repository has?"""

from __future__ import annotations

import hashlib


def exact(text: str | None, blob_id: str) -> bytes | None:
    """The content; None for a text that is cut, binary, or was written in another encoding: it has another hash."""
    if text is None:
        return None
    content = text.encode("utf-8", "surrogatepass")
    hashed = hashlib.new(
        "sha256" if len(blob_id) == 64 else "sha1", b"blob %d\0" % len(content) + content, usedforsecurity=False
    )
    return content if hashed.hexdigest() == blob_id else None


def is_plain(path: str) -> bool:
    """Only what git itself can name: no empty part, no `.`, no `..`."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
