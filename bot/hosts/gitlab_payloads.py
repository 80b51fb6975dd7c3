"""The few fields of GitLab's webhook payloads that are needed, as pydantic models; whatever else is there is ignored."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints

from bot.domain.events import RepositoryRef
from bot.hosts.payloads import Host, Number, Text

Login = Annotated[str, StringConstraints(pattern=r"^[^/\x00]{1,255}$")]
Path = Annotated[str, StringConstraints(pattern=r"^[^/\x00]+(/[^/\x00]+)+$", max_length=1000)]
"""Of a project: its groups, and its own name."""

_BOT = re.compile(
    r"(?:project|group)_[0-9]+_bot(?:_[0-9a-f]+|[0-9]*)|service_account_.+|(?:alert|support|security|visual-review)-bot"
)
"""What GitLab calls the users that it makes itself: of access tokens, of service accounts that nobody has named, its own."""


def place(path: str, host: str = "") -> RepositoryRef:
    """A project by its full path; whose org it is, the policies say (`Policies.place_of`)."""
    group, _, name = path.partition("/")
    return RepositoryRef(host, group, name)


class Kind(BaseModel):
    """What a payload is about. It says so itself, under one of two names; the header that says it too is not signed."""

    object_kind: str = ""
    event_name: str = ""


class User(BaseModel):
    username: Login

    @property
    def is_bot(self) -> bool:
        return _BOT.fullmatch(self.username) is not None


class Project(BaseModel):
    path_with_namespace: Path
    web_url: Host
    default_branch: Text = ""

    @property
    def ref(self) -> RepositoryRef:
        return place(self.path_with_namespace, self.web_url)


class Acted(BaseModel):
    """What most payloads have."""

    project: Project
    user: User


class Label(BaseModel):
    title: str


class LabelChange(BaseModel):
    previous: list[Label] = []
    current: list[Label] = []


class TextChange(BaseModel):
    previous: Text = ""
    current: Text = ""


class Changes(BaseModel):
    """`description` is None where the text was left as it is."""

    labels: LabelChange = LabelChange()
    description: TextChange | None = None


class Commit(BaseModel):
    id: str


class Thing(BaseModel):
    """An issue or a merge request; `iid` is its number in its project. A test of a webhook tells of no `action`."""

    iid: Number
    action: Text = ""
    updated_at: Text = ""


class MergeRequest(Thing):
    last_commit: Commit | None = None
    oldrev: Text = ""
    """The commit before new ones were pushed; there is none where nothing was pushed."""


class ThingActed(Acted):
    labels: list[Label] = []
    changes: Changes = Changes()


class IssueActed(ThingActed):
    object_attributes: Thing


class MergeRequestActed(ThingActed):
    object_attributes: MergeRequest


class Note(BaseModel):
    """`action` is missing before GitLab 16.11, and null in a test of a webhook."""

    id: Number
    note: Text
    noteable_type: str
    system: bool = False
    action: Text = "create"


class Noteable(BaseModel):
    iid: Number


class Noted(Acted):
    object_attributes: Note
    issue: Noteable | None = None
    merge_request: Noteable | None = None


class Pipeline(BaseModel):
    sha: str
    status: str


class PipelineRan(BaseModel):
    project: Project
    object_attributes: Pipeline


class Push(BaseModel):
    ref: str
    before: str
    after: str
    user_username: Text = ""
    project: Project


class ProjectEvent(BaseModel):
    """Of a group's hook, or of a system hook. It names neither its host nor who did it."""

    event_name: Literal["project_create", "project_destroy", "project_rename", "project_transfer", "project_update"]
    path_with_namespace: Path
    old_path_with_namespace: Text = ""
