"""What a group's webhooks tell of the group itself: who and what is in it."""

from __future__ import annotations

from datetime import datetime

from tests.fakes.gitlab.payloads.basics import when
from tests.fakes.gitlab.records import JSON, Group, Level, Member, Project


def project_event(found: Project, name: str) -> JSON:
    """`name` is project_create or project_destroy; GitLab tells nothing of a rename or a move."""
    owners = [each.user for group in found.group.chain for each in group.members.values() if each.level == Level.OWNER]
    return {
        "event_name": name,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "name": found.name,
        "path": found.slug,
        "path_with_namespace": found.full_path,
        "project_id": found.id,
        "project_namespace_id": found.id + 1_000_000,
        "owners": [{"name": each.name, "email": each.email} for each in owners],
        "project_visibility": found.visibility,
    }


def subgroup_event(found: Group, name: str) -> JSON:
    """`name` is subgroup_create or subgroup_destroy."""
    above = found.parent
    return {
        "created_at": when(found.created_at),
        "updated_at": when(found.created_at),
        "event_name": name,
        "name": found.name,
        "path": found.slug,
        "full_path": found.full_path,
        "group_id": found.id,
        "parent_group_id": above.id if above else None,
        "parent_name": above.name if above else None,
        "parent_path": above.slug if above else None,
        "parent_full_path": above.full_path if above else None,
    }


def member_event(group: Group, found: Member, name: str, now: datetime) -> JSON:
    """`name` is user_add_to_group, user_update_for_group or user_remove_from_group."""
    return {
        "created_at": when(found.created_at),
        "updated_at": when(now),
        "group_name": group.name,
        "group_path": group.slug,
        "group_id": group.id,
        "user_username": found.user.username,
        "user_name": found.user.name,
        "user_email": found.user.email,
        "user_id": found.user.id,
        "group_access": found.level.name.capitalize(),
        "group_plan": None,
        "expires_at": f"{found.expires_at}T00:00:00Z" if found.expires_at else None,
        "event_name": name,
    }
