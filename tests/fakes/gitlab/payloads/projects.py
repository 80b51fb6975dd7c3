"""Projects, branches and commits, as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.gitlab import access
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.payloads.basics import day, namespace, when
from tests.fakes.gitlab.payloads.basics import user as user_shape
from tests.fakes.gitlab.records import JSON, Level, Pipeline, Project, Protection, Status
from tests.fakes.gitlab.state import State


def web_url(state: State, found: Project) -> str:
    return f"{state.url}/{found.full_path}"


def ssh_url(state: State, found: Project) -> str:
    return f"git@{state.url.split('//')[1].split(':')[0]}:{found.full_path}.git"


def basic(state: State, found: Project) -> JSON:
    """What `simple=true` tells."""
    empty = gitstore.is_empty(found)
    return {
        "id": found.id,
        "description": found.description,
        "name": found.name,
        "name_with_namespace": found.full_name,
        "path": found.slug,
        "path_with_namespace": found.full_path,
        "created_at": when(found.created_at),
        "default_branch": None if empty else found.default_branch,
        "tag_list": found.topics,
        "topics": found.topics,
        "ssh_url_to_repo": ssh_url(state, found),
        "http_url_to_repo": f"{web_url(state, found)}.git",
        "web_url": web_url(state, found),
        "readme_url": None,
        "forks_count": len(state.forks_of(found)),
        "avatar_url": None,
        "star_count": 0,
        "last_activity_at": when(found.last_activity_at),
        "visibility": found.visibility,
        "namespace": namespace(state, found.group),
    }


def project(state: State, found: Project, actor: Actor, *, statistics: bool = False) -> JSON:
    shown = {
        **basic(state, found),
        "container_registry_image_prefix": f"registry.example.com/{found.full_path}",
        **_settings(found),
        "_links": {"self": f"{state.api_url}/projects/{found.id}"},
        "marked_for_deletion_at": day(found.marked_for_deletion_at),
        "marked_for_deletion_on": day(found.marked_for_deletion_at),
        "packages_enabled": True,
        "empty_repo": gitstore.is_empty(found),
        "archived": found.archived,
        "resolve_outdated_diff_discussions": False,
        "repository_object_format": "sha1",
        "wiki_enabled": True,
        "jobs_enabled": True,
        "snippets_enabled": True,
        "can_create_merge_request_in": access.level_of(state, actor, found) >= Level.DEVELOPER,
        "emails_enabled": True,
        "shared_runners_enabled": True,
        "lfs_enabled": True,
        "creator_id": found.creator.id,
        "import_status": found.import_status,
        "import_error": None,
        "open_issues_count": sum(each.state == "opened" for each in found.issues.values()),
        "updated_at": when(found.updated_at),
        "public_jobs": True,
        "shared_with_groups": _shares(state, found),
        "request_access_enabled": True,
        "printing_merge_request_link_enabled": True,
        "mirror": False,
        "requirements_enabled": True,
        "merge_pipelines_enabled": False,
        "merge_trains_enabled": False,
    }
    if found.forked_from is not None:
        shown["forked_from_project"] = basic(state, found.forked_from)
    if statistics and access.level_of(state, actor, found) >= Level.REPORTER:
        shown["statistics"] = _statistics(found)
    return shown


def _settings(found: Project) -> JSON:
    enabled = {True: "enabled", False: "disabled"}
    return {
        "issues_enabled": found.issues_enabled,
        "merge_requests_enabled": found.merge_requests_enabled,
        "issues_access_level": enabled[found.issues_enabled],
        "repository_access_level": "enabled",
        "merge_requests_access_level": enabled[found.merge_requests_enabled],
        "forking_access_level": enabled[found.forking],
        "builds_access_level": "enabled",
        "only_allow_merge_if_pipeline_succeeds": found.only_allow_merge_if_pipeline_succeeds,
        "allow_merge_on_skipped_pipeline": None,
        "only_allow_merge_if_all_discussions_are_resolved": found.only_allow_merge_if_all_discussions_are_resolved,
        "remove_source_branch_after_merge": found.remove_source_branch_after_merge,
        "merge_method": found.merge_method,
        "squash_option": found.squash_option,
        "approvals_before_merge": found.approvals_required,
    }


def one_project(state: State, found: Project, actor: Actor, *, statistics: bool = False) -> JSON:
    """As GET /projects/:id has it: with what the asking user may do."""
    if actor.token is None:
        return project(state, found, actor)
    direct = found.members.get(actor.user.id)
    of_group = access.group_level(state, found.group, actor.user)
    permissions = {
        "project_access": {"access_level": int(direct.level), "notification_level": 3} if direct else None,
        "group_access": {"access_level": int(of_group), "notification_level": 3} if of_group else None,
    }
    return {**project(state, found, actor, statistics=statistics), "permissions": permissions}


def _shares(state: State, found: Project) -> list[JSON]:
    shared = [(state.groups[number], level) for number, level in found.shared_with.items() if number in state.groups]
    return [
        {
            "group_id": group.id,
            "group_name": group.name,
            "group_full_path": group.full_path,
            "group_access_level": int(level),
            "expires_at": None,
        }
        for group, level in shared
    ]


def _statistics(found: Project) -> JSON:
    commits = 0 if gitstore.is_empty(found) else len(list(gitstore.opened(found).walk(gitstore.commit(found, "HEAD").id)))
    return {
        "commit_count": commits,
        "storage_size": found.size_bytes + found.lfs_bytes,
        "repository_size": found.size_bytes,
        "wiki_size": 0,
        "lfs_objects_size": found.lfs_bytes,
        "job_artifacts_size": 0,
        "pipeline_artifacts_size": 0,
        "packages_size": 0,
        "snippets_size": 0,
        "uploads_size": 0,
        "container_registry_size": 0,
    }


def _moment(signature: pygit2.Signature) -> str | None:
    return when(datetime.fromtimestamp(signature.time, UTC))


def commit(state: State, found: Project, made: pygit2.Commit) -> JSON:
    sha, message = str(made.id), made.message
    return {
        "id": sha,
        "short_id": sha[:8],
        "created_at": _moment(made.committer),
        "parent_ids": [str(each) for each in made.parent_ids],
        "title": message.split("\n", 1)[0],
        "message": message,
        "author_name": made.author.name,
        "author_email": made.author.email,
        "authored_date": _moment(made.author),
        "committer_name": made.committer.name,
        "committer_email": made.committer.email,
        "committed_date": _moment(made.committer),
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{web_url(state, found)}/-/commit/{sha}",
    }


def one_commit(state: State, found: Project, made: pygit2.Commit) -> JSON:
    start = str(made.parent_ids[0]) if made.parent_ids else None
    git = gitstore.opened(found)
    changed = made.tree.diff_to_tree(swap=True) if start is None else git.diff(start, str(made.id))
    stats = changed.stats
    last = last_pipeline(found, str(made.id))
    return {
        **commit(state, found, made),
        "stats": {"additions": stats.insertions, "deletions": stats.deletions, "total": stats.insertions + stats.deletions},
        "status": last.status if last else None,
        "project_id": found.id,
        "last_pipeline": pipeline(state, last) if last else None,
    }


def last_pipeline(found: Project, sha: str, ref: str = "") -> Pipeline | None:
    fitting = [each for each in found.pipelines if each.sha == sha and ref in ("", each.ref)]
    return fitting[-1] if fitting else None


def branch(state: State, found: Project, name: str, actor: Actor) -> JSON:
    rules = [rule for rule in found.protections.values() if rule.fits(name)]
    tip = gitstore.commit(found, f"refs/heads/{name}")
    default = gitstore.head(found, found.default_branch)
    return {
        "name": name,
        "commit": commit(state, found, tip),
        "merged": name != found.default_branch and default is not None and gitstore.is_ancestor(found, str(tip.id), default),
        "protected": bool(rules),
        "developers_can_push": any(rule.push <= Level.DEVELOPER for rule in rules),
        "developers_can_merge": any(rule.merge <= Level.DEVELOPER for rule in rules),
        "can_push": actor.token is not None and access.may_push(state, actor.user, found, name),
        "default": name == found.default_branch,
        "web_url": f"{web_url(state, found)}/-/tree/{name}",
    }


def protection(state: State, found: Protection) -> JSON:
    words = {
        Level.NOBODY: (0, "No one"),
        Level.MAINTAINER: (40, "Maintainers"),
        Level.DEVELOPER: (30, "Developers + Maintainers"),
    }

    def levels(level: Level) -> list[JSON]:
        number, word = words[level]
        return [
            {
                "id": found.id,
                "access_level": number,
                "access_level_description": word,
                "user_id": None,
                "group_id": None,
                "deploy_key_id": None,
            }
        ]

    return {
        "id": found.id,
        "name": found.name,
        "push_access_levels": levels(found.push),
        "merge_access_levels": levels(found.merge),
        "allow_force_push": found.allow_force_push,
        "unprotect_access_levels": [],
        "code_owner_approval_required": False,
        "inherited": False,
    }


def pipeline(state: State, found: Pipeline) -> JSON:
    return {
        "id": found.id,
        "iid": found.iid,
        "project_id": found.project.id,
        "sha": found.sha,
        "ref": found.ref,
        "status": found.status,
        "source": found.source,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "web_url": f"{web_url(state, found.project)}/-/pipelines/{found.id}",
    }


def one_pipeline(state: State, found: Pipeline) -> JSON:
    return {
        **pipeline(state, found),
        "before_sha": gitstore.NO_COMMIT,
        "tag": False,
        "yaml_errors": None,
        "user": user_shape(state, found.user),
        "started_at": when(found.started_at),
        "finished_at": when(found.finished_at),
        "committed_at": None,
        "duration": None,
        "queued_duration": None,
        "coverage": None,
    }


def status(state: State, found: Status) -> JSON:
    return {
        "id": found.id,
        "sha": found.pipeline.sha,
        "ref": found.pipeline.ref,
        "status": found.status,
        "name": found.name,
        "target_url": found.target_url,
        "description": found.description,
        "created_at": when(found.created_at),
        "started_at": when(found.started_at),
        "finished_at": when(found.finished_at),
        "allow_failure": found.allow_failure,
        "coverage": found.coverage,
        "pipeline_id": found.pipeline.id,
        "author": user_shape(state, found.author),
    }
