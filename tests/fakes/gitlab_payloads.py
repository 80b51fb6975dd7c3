"""Webhooks as GitLab sends them: payloads of the few fields that matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Payload = dict[str, Any]


def about(kind: str, actor: str = "alice", path: str = "acme/tool", **more: Any) -> Payload:
    """What `actor` did in the project `path` of the host `local`."""
    project = {"path_with_namespace": path, "web_url": f"https://local/{path}", "default_branch": "main", "name": "A tool"}
    return {"object_kind": kind, "event_type": kind, "project": project, "user": {"username": actor}, **more}


def labels(*titles: str) -> list[Payload]:
    return [{"id": number, "title": title, "type": "ProjectLabel"} for number, title in enumerate(titles)]


def thing(
    kind: str,
    action: str | None,
    *,
    number: int = 7,
    before: Sequence[str] = (),
    now: Sequence[str] = (),
    at: str = "2026-01-15 12:00:00 UTC",
    actor: str = "alice",
    path: str = "acme/tool",
    **attributes: Any,
) -> Payload:
    """An issue or a merge_request, where `action` came to pass: with the labels that it had before, and has now."""
    changes = {"labels": {"previous": labels(*before), "current": labels(*now)}} if action == "update" else {}
    told = {"iid": number, "action": action, "updated_at": at, **attributes}
    return about(kind, actor, path, object_attributes=told, labels=labels(*now), changes=changes)


def note(body: str, *, on: str = "issue", number: int = 7, id: int = 12, actor: str = "alice", **attributes: Any) -> Payload:
    """`on` is issue, merge_request, commit or snippet."""
    kinds = {"issue": "Issue", "merge_request": "MergeRequest", "commit": "Commit", "snippet": "Snippet"}
    said = {"id": id, "note": body, "noteable_type": kinds[on], "system": False, "action": "create", **attributes}
    return about("note", actor, object_attributes=said, **{on: {"iid": number, "id": 99}})
