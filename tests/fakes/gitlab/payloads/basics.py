"""People, groups, labels, tokens and hooks, as the API shows them."""

from __future__ import annotations

from datetime import date, datetime

from tests.fakes.gitlab.records import JSON, Award, Group, Hook, Label, Member, Token, User
from tests.fakes.gitlab.state import State

GROUP_ONLY_EVENTS = ("member_events", "project_events", "subgroup_events")
EVENTS = (
    "confidential_issues_events", "confidential_note_events", "deployment_events", "emoji_events", "feature_flag_events",
    "issues_events", "job_events", "merge_requests_events", "milestone_events", "note_events", "pipeline_events", "push_events",
    "releases_events", "repository_update_events", "resource_access_token_events", "tag_push_events", "vulnerability_events",
    "wiki_page_events",
)  # fmt: skip
VISIBILITY_LEVELS = {"private": 0, "internal": 10, "public": 20}


def when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def day(moment: date | None) -> str | None:
    return None if moment is None else moment.isoformat()


def user(state: State, found: User) -> JSON:
    return {
        "id": found.id,
        "username": found.username,
        "public_email": None,
        "name": found.name,
        "state": found.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{state.url}/{found.username}",
    }


def maybe_user(state: State, found: User | None) -> JSON | None:
    return None if found is None else user(state, found)


def public_user(state: State, found: User) -> JSON:
    return {
        **user(state, found),
        "created_at": when(found.created_at),
        "bio": "",
        "location": "",
        "website_url": "",
        "job_title": "",
        "bot": found.bot,
        "followers": 0,
        "following": 0,
        "local_time": None,
    }


def oneself(state: State, found: User) -> JSON:
    """What GET /user tells."""
    return {
        **public_user(state, found),
        "email": found.email,
        "commit_email": found.email,
        "confirmed_at": when(found.created_at),
        "last_activity_on": day(state.now().date()),
        "projects_limit": 100000,
        "identities": [],
        "can_create_group": not found.bot,
        "can_create_project": True,
        "two_factor_enabled": False,
        "external": False,
        "private_profile": False,
    }


def member(state: State, found: Member) -> JSON:
    return {
        **user(state, found.user),
        "access_level": int(found.level),
        "created_at": when(found.created_at),
        "expires_at": day(found.expires_at),
        "membership_state": "active",
    }


def namespace(state: State, found: Group) -> JSON:
    own = found.owner is not None
    return {
        "id": found.id,
        "name": found.name,
        "path": found.slug,
        "kind": "user" if own else "group",
        "full_path": found.full_path,
        "parent_id": found.parent.id if found.parent else None,
        "avatar_url": None,
        "web_url": f"{state.url}/{found.full_path}" if own else f"{state.url}/groups/{found.full_path}",
    }


def group(state: State, found: Group) -> JSON:
    return {
        "id": found.id,
        "web_url": f"{state.url}/groups/{found.full_path}",
        "name": found.name,
        "path": found.slug,
        "description": found.description,
        "visibility": found.visibility,
        "share_with_group_lock": False,
        "require_two_factor_authentication": False,
        "two_factor_grace_period": 48,
        "project_creation_level": "developer",
        "auto_devops_enabled": None,
        "subgroup_creation_level": "maintainer",
        "emails_enabled": True,
        "mentions_disabled": None,
        "lfs_enabled": True,
        "archived": False,
        "default_branch": None,
        "default_branch_protection": 2,
        "avatar_url": None,
        "request_access_enabled": True,
        "full_name": found.full_name,
        "full_path": found.full_path,
        "created_at": when(found.created_at),
        "parent_id": found.parent.id if found.parent else None,
        "organization_id": 1,
        "shared_runners_setting": "enabled",
        "marked_for_deletion_on": None,
    }


def label(state: State, found: Label) -> JSON:
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "description_html": found.description or "",
        "text_color": "#FFFFFF",
        "color": found.color,
        "archived": False,
        "open_issues_count": 0,
        "closed_issues_count": 0,
        "open_merge_requests_count": 0,
        "subscribed": False,
        **({} if found.group else {"priority": None, "is_project_label": True}),
    }


def award(state: State, found: Award, kind: str, awardable_id: int) -> JSON:
    """`kind` is Issue, MergeRequest or Note."""
    return {
        "id": found.id,
        "name": found.name,
        "user": user(state, found.user),
        "created_at": when(found.created_at),
        "updated_at": when(found.created_at),
        "awardable_id": awardable_id,
        "awardable_type": kind,
        "url": None,
    }


def token(state: State, found: Token, *, told: bool = False, of: str = "") -> JSON:
    """`told`: with its value, which is shown once, when it is made. `of` is group or project, where that is asked for its."""
    shown: JSON = {
        "id": found.id,
        "name": found.name,
        "revoked": found.revoked,
        "created_at": when(found.created_at),
        "description": None,
        "scopes": list(found.scopes),
        "user_id": found.user.id,
        "last_used_at": when(found.last_used_at),
        "active": not found.revoked and not found.expired(state.now()),
        "granular": False,
        "expires_at": day(found.expires_at),
    }
    owner = found.group or found.project
    if owner is not None and of:
        shown |= {"access_level": int(found.level), "resource_type": of, "resource_id": owner.id}
    return {**shown, "token": found.value} if told else shown


def hook(state: State, found: Hook) -> JSON:
    of_group = isinstance(found.owner, Group)
    names = (*EVENTS, *GROUP_ONLY_EVENTS) if of_group else EVENTS
    waiting = found.disabled_until is not None and found.disabled_until > state.now()
    return {
        "id": found.id,
        "url": found.url,
        "name": found.name or None,
        "description": found.description or None,
        "created_at": when(found.created_at),
        **{name: name in found.events for name in names},
        "enable_ssl_verification": found.enable_ssl_verification,
        "organization_id": 1,
        "alert_status": "disabled" if found.disabled else "temporarily_disabled" if waiting else "executable",
        "disabled_until": when(found.disabled_until),
        "url_variables": [],
        "push_events_branch_filter": found.push_events_branch_filter or None,
        "branch_filter_strategy": found.branch_filter_strategy,
        "custom_webhook_template": None,
        "custom_headers": [{"key": name} for name in found.custom_headers],
        "token_present": bool(found.token),
        **({"signing_token_present": bool(found.signing_token)} if state.signing else {}),
        "group_id" if of_group else "project_id": found.owner.id,
    }
