"""Claude steps of a campaign through the real CLI: results that later steps use, guidance of ours, limits of one step."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes import repositories
from tests.story.attempts import playing
from tests.story.conftest import Project

Serve = Callable[[Play], ScriptedModel]
SCHEMA = {
    "type": "object",
    "properties": {"grade": {"type": "integer"}, "why": {"type": "string"}},
    "required": ["grade", "why"],
}
REVIEW = ToolCall("StructuredOutput", {"grade": 2, "why": "No tests. {{ 7*7 }}"})


def template(project: Project, path: str, text: str) -> None:
    file = project.folder / "templates" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def shown(project: Project, run: str) -> dict[str, Any]:
    found: dict[str, Any] = project.whimbrel("show", run, "--json").json
    return found


def test_a_result_is_kept_and_used_by_the_steps_after_it_and_the_pull_request(project: Project, serve: Serve) -> None:
    def play(conversation: Conversation) -> Turn:
        return Turn("Nothing more.") if "grade was 2" in conversation.prompt else playing(REVIEW)(conversation)

    template(project, "schemas/review.json", json.dumps(SCHEMA))
    template(project, "files/GRADE.md.j2", "{{ outputs.review.grade }}: {{ outputs.review.why | neutral }}\n")
    template(project, "pull_request/graded.md.j2", "Grade {{ outputs.review.grade }}\n")
    project.write_campaign(
        "grade",
        steps=[
            {"prompt": "Review it.", "output_schema": "schemas/review.json", "name": "review"},
            {"template": "files/GRADE.md.j2", "to": "GRADE.md"},
            {"prompt": "The grade was {{ outputs.review.grade }}."},
        ],
        pull_request={"title": "pull_request/graded.md.j2"},
    )
    project.repository("alpha", {"a": b"a"})
    model = serve(play)
    project.use(model)
    campaign = project.run("grade")
    assert campaign.outcomes == {"alpha": "published"}
    assert repositories.files_at(project.bare("alpha"), "whimbrel/grade")["GRADE.md"] == b"2: No tests. {{ 7*7 }}\n"
    (pull,) = project.pull_requests()
    assert pull["text"]["title"] == "Grade 2"
    artifacts = shown(project, campaign["alpha"]["id"])["artifacts"]
    assert [json.loads(text) for text in artifacts["output"]] == [REVIEW.input]
    assert artifacts["answer"] == ["Nothing more."]


def test_a_run_without_the_result_that_was_asked_for_has_failed(project: Project, serve: Serve) -> None:
    project.write_campaign("grade", steps=[{"prompt": "Review it.", "output_schema": SCHEMA}])
    project.repository("alpha", {"a": b"a"})
    project.use(serve(lambda _: Turn("It is fine.")))
    campaign = project.run("grade", status=1)
    assert campaign.outcomes == {"alpha": "failed"}
    assert "without the result that `output_schema` asks for; it said: It is fine." in campaign["alpha"]["reason"]


def test_guidance_is_what_the_templates_were_when_the_campaign_began(project: Project, serve: Serve) -> None:
    def play(conversation: Conversation) -> Turn:
        template(project, "guidance/skills/packaging/SKILL.md", "---\ndescription: CHANGED-MEANWHILE\n---\n")
        return playing()(conversation)

    template(project, "guidance/CLAUDE.md", "OUR-GUIDANCE\n")
    template(project, "guidance/skills/packaging/SKILL.md", "---\ndescription: OUR-SKILL\n---\n")
    template(project, "guidance/agents/reviewer.md", "---\nname: reviewer\ndescription: OUR-AGENT\n---\nReview.\n")
    given = {"config": "guidance/CLAUDE.md", "skills": "guidance/skills", "subagents": "guidance/agents"}
    project.write_campaign("guided", steps=[{"prompt": "First.", **given}, {"prompt": "Second.", **given}])
    planted = {".claude/skills/x/SKILL.md": b"---\ndescription: PLANTED\n---\n", ".claude/agents/x.md": b"PLANTED"}
    project.repository("alpha", {"a": b"a", **planted})
    model = serve(play)
    project.use(model)
    assert project.run("guided").outcomes == {"alpha": "no_change"}
    assert [billed.conversation.prompt for billed in model.bill] == ["First.\n", "Second.\n"]
    for billed in model.bill:
        for words in ("OUR-GUIDANCE", "OUR-SKILL", "OUR-AGENT"):
            assert words in billed.conversation.context
        assert "PLANTED" not in billed.conversation.context


def test_a_step_that_reaches_its_own_cap_ends_the_run(project: Project, serve: Serve) -> None:
    spender = Turn("x" * 40_000, (ToolCall("Bash", {"command": "true"}),))
    project.write_campaign("dear", steps=[{"prompt": "Spend.", "max_usd": 0.6}])
    project.repository("alpha", {"a": b"a"})
    project.use(serve(lambda _: spender))
    campaign = project.run("dear", status=3)
    assert campaign.outcomes == {"alpha": "budget_exhausted"}
    assert "the budget of this step is used up" in campaign["alpha"]["reason"]


def test_guidance_that_is_not_there_is_told_when_the_policy_is_read(project: Project) -> None:
    project.write_campaign("guided", steps=[{"prompt": "x", "skills": "skils"}])
    assert "there is no template skils" in project.whimbrel("plan", "guided", "--org", "acme", status=2).stderr
