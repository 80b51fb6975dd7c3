"""`whimbrel exec` as its users run it: the real binary, sandbox, gateway and ledger; only the model is scripted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes.processes import words_of
from tests.fakes.queue_parts import eventually
from tests.story.attempts import bash, playing, results, write
from tests.story.conftest import COMMAND_SECONDS, Done, Project

Serve = Callable[[Play], ScriptedModel]
NOTE = (bash("ls -A; cat src/run.py"), write("NOTE.md", "Be kind.\n"), bash("echo 'print(2)' > src/run.py"))
AGENT = "---\nname: reviewer\ndescription: OUR-AGENT\n---\nReview.\n"


class Exec:
    """A project, and a folder `work` in it to be worked on."""

    def __init__(self, project: Project):
        self.project = project
        self.work = project.folder / "work"
        self.put("src/run.py", "print(1)\n")

    def put(self, path: str, text: str) -> Path:
        file = self.work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def ask(self, model: ScriptedModel, *options: str | Path, status: int = 0) -> Done:
        self.project.use(model)
        return self.project.whimbrel(*self.command(), *options, status=status)

    def command(self) -> tuple[str, ...]:
        return ("exec", "--org", "acme", "--dir", "work", "--prompt", "Improve {{ it }}.")

    def start(self, model: ScriptedModel) -> subprocess.Popen[str]:
        self.project.use(model)
        command = self.project.command(*self.command(), "--write")
        return subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    @property
    def files(self) -> dict[str, str]:
        return {path.relative_to(self.work).as_posix(): path.read_text() for path in self.work.rglob("*") if path.is_file()}

    @property
    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.project.whimbrel("audit", "export").stdout.splitlines()]

    @property
    def quota(self) -> dict[str, str]:
        (row,) = self.project.whimbrel("quota", "acme", "--json").json
        return dict(row)

    def left(self) -> list[str]:
        """Folders, sockets and processes that are still there."""
        places = self.project.home / "execs"
        files = [str(path) for path in places.rglob("*")]
        return files + [" ".join(words) for words in map(words_of, psutil.process_iter()) if mentions(words, str(places))]


def mentions(words: list[str], place: str) -> bool:
    return any(place in word for word in words)


@pytest.fixture
def folder(project: Project) -> Exec:
    return Exec(project)


@pytest.fixture
def hang() -> Iterator[tuple[Callable[[Conversation], Turn], Event]]:
    """A model that answers nothing until the test has ended, and whether it was asked."""
    asked, release = Event(), Event()

    def play(_: Conversation) -> Turn:
        asked.set()
        release.wait(COMMAND_SECONDS)
        return Turn("Too late.")

    yield play, asked
    release.set()


def test_what_would_change_is_shown_and_nothing_is_written(folder: Exec, serve: Serve) -> None:
    model = serve(playing(*NOTE))
    before = folder.files
    done = folder.ask(model, "--json")
    told = done.json
    assert (told["outcome"], told["reason"]) == ("reported", "2 files would be changed")
    assert (told["answer"], told["files"], told["written"]) == ("Done.", ["NOTE.md", "src/run.py"], False)
    assert "+Be kind." in told["diff"]
    assert "-print(1)\n+print(2)" in told["diff"]
    assert folder.files == before
    assert folder.left() == []
    assert results(model)[0].text == "src\nprint(1)"
    assert model.bill[0].conversation.prompt == "Improve {{ it }}.\n"
    assert [json.loads(line)["progress"] for line in done.stderr.splitlines()][-1] == "finish"


def test_everything_is_recorded(folder: Exec, serve: Serve) -> None:
    told = folder.ask(serve(playing(*NOTE)), "--json").json
    started, succeeded = folder.audit
    assert [event["action"] for event in (started, succeeded)] == ["exec.started", "exec.succeeded"]
    assert {event["subject"] for event in (started, succeeded)} == {told["id"]}
    assert started["details"] == {"model": "claude-sonnet-5-5", "cap_usd": "2.000000", "files_seen": 1}
    details = succeeded["details"]
    assert details["files"] == ["NOTE.md", "src/run.py"]
    assert [len(digest) for digest in details["prompts_sha256"]] == [64]
    assert Decimal(details["cost_usd"]) == Decimal(told["cost_usd"]) > 0
    assert (folder.quota["spent_usd"], folder.quota["reserved_usd"]) == (told["cost_usd"], "0.000000")
    kept = folder.project.home / "artifacts" / told["id"]
    assert {path.name for path in kept.iterdir()} == {"transcript", "answer", "diff"}
    assert "holds, 2 events" in folder.project.whimbrel("audit", "verify").stdout


def test_it_is_written_where_that_is_asked_for(folder: Exec, serve: Serve) -> None:
    folder.put("old.txt", "old\n")
    folder.put(".git/HEAD", "ref: refs/heads/main\n")
    done = folder.ask(serve(playing(*NOTE, bash("rm old.txt"))), "--write")
    assert folder.files == {".git/HEAD": "ref: refs/heads/main\n", "NOTE.md": "Be kind.\n", "src/run.py": "print(2)\n"}
    assert "reported: 3 files written" in done.stdout


def test_a_file_that_somebody_changes_meanwhile_is_not_overwritten(folder: Exec, serve: Serve) -> None:
    def play(conversation: Conversation) -> Turn:
        folder.put("src/run.py", "print('mine')\n")
        return playing(*NOTE)(conversation)

    done = folder.ask(serve(play), "--write", status=1)
    assert "src/run.py was changed in" in done.stderr
    assert folder.files == {"src/run.py": "print('mine')\n"}
    assert "+Be kind." in done.stdout


def test_nothing_to_change_is_no_failure(folder: Exec, serve: Serve) -> None:
    assert folder.ask(serve(lambda _: Turn("All is well.")), "--json").json["outcome"] == "no_change"


def test_secrets_and_state_stay_out_of_the_copy(folder: Exec, serve: Serve) -> None:
    folder.put(".gitignore", ".env\n")
    folder.put(".env", "TOKEN=very-secret\n")
    (folder.project.folder / ".git").mkdir()
    model = serve(playing(bash("ls -A . work; grep -r very-secret . || echo CLEAN")))
    folder.project.use(model)
    folder.project.whimbrel("exec", "--org", "acme", "--prompt", "Look.", "--files", "work/**/*.py")
    (result,) = results(model)
    names = set(result.text.split())
    assert ".whimbrel" not in names, "the state, with the audit key in it, lies in the folder itself"
    assert {".gitignore", "src", "policies", "CLEAN"} <= names
    assert not {".env", ".git"} & names
    assert model.bill[0].conversation.prompt == "Look.\n\nLook at these files first:\n- work/src/run.py\n"


def test_guidance_skills_and_subagents_come_from_the_flags_alone(folder: Exec, serve: Serve) -> None:
    planted = {"skills/plant/SKILL.md": "---\ndescription: PLANTED\n---\n", "agents/plant.md": AGENT.replace("OUR-", "PLANTED")}
    for path, text in planted.items():
        folder.put(f".claude/{path}", text)
    for path, text in {
        "g.md": "OUR-GUIDANCE",
        "s/ours/SKILL.md": "---\ndescription: OUR-SKILL\n---\n",
        "a/r.md": AGENT,
    }.items():
        (folder.project.folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder.project.folder / path).write_text(text)
    model = serve(playing(ToolCall("Skill", {"skill": "plant"}), ToolCall("Skill", {"skill": "whimbrel:ours"})))
    folder.ask(model, "--config", "g.md", "--skills", "s", "--subagents", "a")
    seen = model.bill[0].conversation
    assert {"Skill", "Agent"} <= seen.tools
    for words in ("OUR-GUIDANCE", "OUR-SKILL", "OUR-AGENT"):
        assert words in seen.context
    assert "PLANTED" not in seen.context
    assert [result.is_error for result in results(model)] == [True, False]


@pytest.mark.parametrize(
    ("options", "begins", "has"),
    [
        (("out.txt",), "# Found\n\nNothing.\n", ""),
        (("out.md",), "# Found\n\nNothing.\n", "\n## Change\n\n```diff\n"),
        (("out.json",), '{\n  "id": "x', '"answer": "# Found\\n\\nNothing."'),
        (("out", "--output-format", "md"), "# Found\n\nNothing.\n", "```diff\n"),
    ],
)
def test_the_result_is_written_to_a_file(folder: Exec, serve: Serve, options: tuple[str, ...], begins: str, has: str) -> None:
    def play(conversation: Conversation) -> Turn:
        return Turn("# Found\n\nNothing.") if conversation.results else Turn("", (write("NOTE.md", "Be kind.\n"),))

    folder.ask(serve(play), "--output", *options)
    text = (folder.project.folder / options[0]).read_text()
    assert text.startswith(begins)
    assert has in text


def test_a_refusal_by_the_quota_is_3(folder: Exec, serve: Serve) -> None:
    spender = Turn("x" * 40_000, (bash("true"),))
    done = folder.ask(serve(lambda _: spender), "--max-cost", "0.60", "--json", status=3)
    assert (done.json["outcome"], done.json["written"]) == ("budget_exhausted", False)
    assert "used up" in done.stderr
    assert 0 < Decimal(done.json["cost_usd"]) <= Decimal("0.60")
    assert folder.audit[-1]["action"] == "exec.failed"
    assert folder.left() == []


def test_the_orgs_month_is_refused_before_anything_is_sent(folder: Exec, serve: Serve) -> None:
    model = serve(playing(*NOTE))
    folder.project.write_org(quota={"usd_per_month": 0.01})
    done = folder.ask(model, status=3)
    assert "the budget of org acme" in done.stderr
    assert model.bill == []


def test_what_the_agent_made_may_be_refused(folder: Exec, serve: Serve) -> None:
    done = folder.ask(serve(playing(bash("git init -q sub; ln -s /etc out"))), "--write", "--json", status=1)
    assert done.json["outcome"] == "rejected"
    assert "'sub/.git' is, or could be taken for, git's own folder" in done.stderr
    assert "the link 'out' points out of the repository" in done.stderr
    assert folder.files == {"src/run.py": "print(1)\n"}


def test_a_timeout_is_told_with_its_figure(folder: Exec, serve: Serve, hang: tuple[Play, Event]) -> None:
    done = folder.ask(serve(hang[0]), "--timeout", "0.05", status=1)
    assert re.search(r"wall clock: [\d.]+ s of \d\.\d s allowed", done.stderr)
    assert folder.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(
    folder: Exec, serve: Serve, hang: tuple[Play, Event], number: signal.Signals
) -> None:
    play, asked = hang
    process = folder.start(serve(play))
    assert asked.wait(COMMAND_SECONDS)
    process.send_signal(number)
    _, said = process.communicate(timeout=COMMAND_SECONDS)
    assert (process.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert folder.left() == []
    assert folder.files == {"src/run.py": "print(1)\n"}
    last = folder.audit[-1]
    assert (last["action"], last["details"]["error"]) == ("exec.failed", "interrupted")
    assert folder.quota["reserved_usd"] == "0.000000"
    assert Decimal(folder.quota["spent_usd"]) > 0, "the request was under way, and may be billed"


def test_what_a_kill_leaves_behind_is_settled_and_cleared_by_the_next(
    folder: Exec, serve: Serve, hang: tuple[Play, Event]
) -> None:
    play, asked = hang
    process = folder.start(serve(play))
    assert asked.wait(COMMAND_SECONDS)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=COMMAND_SECONDS)
    held = Decimal(folder.quota["reserved_usd"])
    assert held > 0
    assert [path.suffix for path in (folder.project.home / "execs").iterdir() if path.is_file()] == [".lock"]
    folder.ask(serve(lambda _: Turn("All is well.")))
    assert folder.quota["reserved_usd"] == "0.000000"
    assert Decimal(folder.quota["spent_usd"]) > held
    actions = [(event["action"], event["reason"]) for event in folder.audit]
    assert actions.count(("exec.failed", "its process was killed")) == 1
    eventually(lambda: folder.left() == [], "the killed one's sandbox ends with it")
    assert "holds, 4 events" in folder.project.whimbrel("audit", "verify").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prompt", "x", "--prompt-file", "ask.md"), "either --prompt or --prompt-file"),
        ((), "either --prompt or --prompt-file"),
        (("--prompt", " "), "the prompt is empty"),
        (("--prompt", "x", "--org", "acne"), "did you mean acme?"),
        (("--prompt", "x", "--files", "*.rs"), "--files *.rs matches no file"),
        (("--prompt", "x", "--max-cost", "11"), "above the ceiling of $10.00 that acme sets"),
        (("--prompt", "x", "--max-cost", "-1"), "--max-cost: "),
        (("--prompt", "x", "--skills", "work"), "--skills work: there is no skill in it"),
        (("--prompt", "x", "--subagents", "work"), "--subagents work: there is no subagent in it"),
        (("--prompt", "x", "--output-format", "md"), "--output-format is the format of --output"),
        (("--prompt", "x", "--output", "no/such/out.md"), "there is no folder no/such"),
        (("--prompt", "x", "--config", "latin1.md"), "is not UTF-8"),
    ],
)
def test_a_mistake_is_told_before_anything_is_begun(folder: Exec, options: tuple[str, ...], said: str) -> None:
    (folder.project.folder / "ask.md").write_text("x")
    (folder.project.folder / "latin1.md").write_bytes(b"caf\xe9")
    org = () if "--org" in options else ("--org", "acme")
    done = folder.project.whimbrel("exec", "--dir", "work", *org, *options, status=2)
    assert said in done.stderr
    assert folder.audit == []


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda work: (work / "sub" / ".git").mkdir(parents=True), "'sub/.git' is, or could be taken for, git's own folder"),
        (lambda work: (work / "out").symlink_to("/etc"), "the link 'out' points out of the repository"),
        (lambda work: os.mkfifo(work / "pipe"), "'pipe' is a device, a pipe or a socket"),
    ],
)
def test_a_folder_that_cannot_be_copied_is_refused_before_anything_is_begun(
    folder: Exec, serve: Serve, plant: Callable[[Path], None], said: str
) -> None:
    plant(folder.work)
    model = serve(playing(*NOTE))
    assert said in folder.ask(model, status=1).stderr
    assert (model.bill, folder.audit, folder.left()) == ([], [], [])


def test_without_a_key_it_says_what_to_do(folder: Exec) -> None:
    done = folder.project.whimbrel(*folder.command(), status=2)
    assert "set ANTHROPIC_API_KEY" in done.stderr
    assert folder.audit[-1]["action"] == "exec.failed"
