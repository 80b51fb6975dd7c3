"""What the scripted model plays for prompts/migrate-to-pyproject.md.j2: the tool calls that a careful model would make.

Each answer follows from the conversation so far; there is no state between requests.
"""

from __future__ import annotations

import re

from bot.demo.conversation import Conversation, ToolCall, ToolResult, Turn
from bot.demo.packaging import Migrated, Unreadable, migrated

_OLD_FILES = ("setup.py", "setup.cfg")
_LIST = "ls -A"
_MENTION = r"setup\.py"
_DOCUMENTS = (".md", ".rst", ".txt")
_MOST_DOCUMENTS = 5
_FENCE = re.compile(r"^(`{3,})[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_COMMANDS = (
    (re.compile(r"python3? setup\.py install"), "pip install ."),
    (re.compile(r"python3? setup\.py develop"), "pip install -e ."),
    (re.compile(r"python3? setup\.py (?:sdist bdist_wheel|bdist_wheel|sdist)"), "python -m build"),
)
_VERIFY = (
    "python3 -c \"import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; "
    "print(project['name'], project.get('version', 'dynamic'))\""
)


def migrate(conversation: Conversation) -> Turn:
    """The next turn: look, read, write, delete and verify, sum up."""
    if not conversation.tools:
        return Turn("Move packaging metadata to pyproject.toml")
    if not all(name in conversation.prompt for name in ("pyproject.toml", *_OLD_FILES)):
        return Turn("I am a scripted model: moving packaging metadata to pyproject.toml is all that I know how to do.")
    listing = conversation.result_of("Bash", command=_LIST)
    if listing is None:
        return _look()
    if "setup.py" not in listing.text.split():
        return Turn("There is no setup.py at the root of the repository: nothing to move.")
    if unread := [path for path in _to_read(conversation, listing) if _read(conversation, path) is None]:
        return Turn("I read what there is to move.", tuple(_call_read(conversation, path) for path in unread))
    return _move(conversation)


def _look() -> Turn:
    calls = (
        ToolCall("Bash", {"command": _LIST, "description": "List the repository's files"}),
        ToolCall("Grep", {"pattern": _MENTION, "output_mode": "files_with_matches"}),
    )
    return Turn("I look at the repository first.", calls)


def _to_read(conversation: Conversation, listing: ToolResult) -> list[str]:
    present = [name for name in (*_OLD_FILES, "pyproject.toml") if name in listing.text.split()]
    mentions = conversation.result_of("Grep", pattern=_MENTION)
    documents = [path for path in mentions.text.splitlines() if path.endswith(_DOCUMENTS)] if mentions else []
    return [*present, *documents[:_MOST_DOCUMENTS]]


def _move(conversation: Conversation) -> Turn:
    try:
        return _carry_out(conversation, _plan(conversation))
    except Unreadable as error:
        return Turn(f"I changed nothing: {error}.")


def _plan(conversation: Conversation) -> Migrated:
    texts = {name: _read(conversation, name) for name in (*_OLD_FILES, "pyproject.toml")}
    setup_py, setup_cfg, existing = (result.file_text if result else "" for result in texts.values())
    return migrated(setup_py, setup_cfg, template=_template(conversation.prompt), existing=existing)


def _carry_out(conversation: Conversation, plan: Migrated) -> Turn:
    written = _result_of_file(conversation, "Write", "pyproject.toml")
    if written is None:
        return Turn("Now I write pyproject.toml.", (*_writes(conversation, plan), *_edits(conversation)))
    if written.is_error:
        return Turn(f"I could not write pyproject.toml: {written.text}")
    command = f"rm -f {' '.join(_OLD_FILES)} && {_VERIFY}"
    verified = conversation.result_of("Bash", command=command)
    if verified is None:
        call = ToolCall("Bash", {"command": command, "description": "Delete the old files and read the new one"})
        return Turn("The old files can go now.", (call,))
    if verified.is_error:
        return Turn(f"The new pyproject.toml could not be verified: {verified.text}")
    return Turn(_summary(conversation, plan))


def _writes(conversation: Conversation, plan: Migrated) -> list[ToolCall]:
    texts = {"pyproject.toml": plan.pyproject, ".flake8": plan.flake8}
    return [
        ToolCall("Write", {"file_path": _path(conversation, name), "content": text}) for name, text in texts.items() if text
    ]


def _edits(conversation: Conversation) -> list[ToolCall]:
    """One call for each outdated command in a document that was read."""
    reads = {result.call.input["file_path"]: result for result in conversation.results if result.call.name == "Read"}
    return [
        ToolCall("Edit", {"file_path": path, "old_string": old, "new_string": new, "replace_all": True})
        for path, result in reads.items()
        if path.endswith(_DOCUMENTS)
        for pattern, new in _COMMANDS
        for old in sorted(set(pattern.findall(result.file_text)))
    ]


def _summary(conversation: Conversation, plan: Migrated) -> str:
    edited = {result.call.input["file_path"] for result in conversation.results if result.call.name == "Edit"}
    edited = {path.removeprefix(f"{conversation.directory}/") for path in edited}
    sentences = [f"The packaging metadata of {plan.name} is in pyproject.toml now; setup.py and setup.cfg are gone."]
    if plan.flake8:
        sentences.append("The settings of flake8 moved to .flake8, because it does not read pyproject.toml.")
    if edited:
        sentences.append(f"Commands that no longer work were replaced in {', '.join(sorted(edited))}.")
    if plan.lost:
        sentences.append(
            f"These sections of setup.cfg have no place in pyproject.toml and were dropped: {', '.join(plan.lost)}."
        )
    return " ".join(sentences)


def _template(prompt: str) -> str:
    """The first fenced block that looks like a pyproject.toml."""
    blocks = (match.group(2) for match in _FENCE.finditer(prompt))
    return next((block for block in blocks if "[build-system]" in block or "[project]" in block), "")


def _call_read(conversation: Conversation, path: str) -> ToolCall:
    return ToolCall("Read", {"file_path": _path(conversation, path)})


def _read(conversation: Conversation, path: str) -> ToolResult | None:
    return _result_of_file(conversation, "Read", path)


def _result_of_file(conversation: Conversation, tool: str, path: str) -> ToolResult | None:
    return conversation.result_of(tool, file_path=_path(conversation, path))


def _path(conversation: Conversation, path: str) -> str:
    return f"{conversation.directory}/{path}"
