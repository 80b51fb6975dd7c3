"""The allow-list: what of a client's request is let through, and the most tokens that it can cost.

Whatever is not named here is not forwarded. A key that would reach a network or move the price is refused by name; any other
unknown key is left out, because a newer client may send keys that do no harm.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.domain.prices import CacheWrites
from bot.gateway.answers import bad_request

REFUSED_KEYS = frozenset(
    {
        "billing_policy",
        "compaction",
        "container",
        "fallback_credit_token",
        "fallbacks",
        "inference_geo",
        "mcp_servers",
        "service_tier",
        "speed",
        "thread",
        "user_profile_id",
        "workspace_id",
    }
)
"""Top-level keys that reach a network, other models, other tiers or other people's data."""

ALLOWED_BETAS = frozenset(
    {
        "claude-code-20250219",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "extended-cache-ttl-2025-04-11",
        "interleaved-thinking-2025-05-14",
        "mid-conversation-system-2026-04-07",
        "mid-conversation-tool-changes-2026-07-01",
        "per-turn-control-2026-07-01",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "token-counting-2024-11-01",
    }
)

IMAGE_TOKENS = 5_000
"""More than any model takes for one image (4,784, after scaling down)."""
OVERHEAD_TOKENS = 4_096
"""More than the API adds of its own: the prompt that explains tools has less than 1,000 tokens."""
SLICE = 65_536


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class CacheControl(_Part):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class _Cacheable(_Part):
    cache_control: CacheControl | None = None


class Base64Source(_Part):
    type: Literal["base64"]
    media_type: str
    data: str


class TextSource(_Part):
    type: Literal["text"]
    media_type: str
    data: str


class TextBlock(_Cacheable):
    type: Literal["text"]
    text: str


class ImageBlock(_Cacheable):
    type: Literal["image"]
    source: Base64Source


class DocumentBlock(_Cacheable):
    type: Literal["document"]
    source: Annotated[Base64Source | TextSource, Field(discriminator="type")]
    title: str | None = None


class ToolUseBlock(_Cacheable):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ThinkingBlock(_Part):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(_Part):
    type: Literal["redacted_thinking"]
    data: str


ResultContent = Annotated[TextBlock | ImageBlock | DocumentBlock, Field(discriminator="type")]


class ToolResultBlock(_Cacheable):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[ResultContent] | None = None
    is_error: bool | None = None


Content = Annotated[
    TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock,
    Field(discriminator="type"),
]


class JsonFormat(_Part):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(_Part):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Message(_Part):
    role: Literal["user", "assistant"]
    content: str | list[Content]


class SystemMessage(_Part):
    """A system prompt in mid-conversation; `output_config` holds from that turn on."""

    role: Literal["system"]
    content: str | list[TextBlock]
    output_config: OutputConfig | None = None


class Tool(_Cacheable):
    """A tool that the client runs. One with another type is run by the API, reaches a network and has a price of its own."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    defer_loading: bool | None = None


class ToolChoice(_Part):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(_Part):
    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[int, Field(ge=1)] | None = None
    display: Literal["summarized", "omitted", "updates"] | None = None


class ThinkingTurns(_Part):
    type: Literal["thinking_turns", "all"]
    value: int | None = None


class ClearThinking(_Part):
    """Leaves old thinking out of the prompt. (Compaction, the other edit, would ask the model once more.)"""

    type: Literal["clear_thinking_20251015"]
    keep: Literal["all"] | ThinkingTurns | None = None


class ContextManagement(_Part):
    edits: list[ClearThinking] = []


class Prompt(_Part):
    """The body of a request to count tokens, and the part of a message request that makes its input."""

    model: str
    messages: Annotated[list[Annotated[Message | SystemMessage, Field(discriminator="role")]], Field(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    context_management: ContextManagement | None = None
    output_config: OutputConfig | None = None


class MessageRequest(Prompt):
    max_tokens: Annotated[int, Field(ge=1)]
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    stop_sequences: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A request as it may be forwarded.

    `prompt_tokens` is a bound that holds for any tokenizer whose tokens cover at least a byte; None where nothing but the
    model's context window bounds it. `output_tokens` bounds the answer, thinking included.
    """

    body: bytes
    model: str
    prompt_tokens: int | None
    output_tokens: int
    writes: CacheWrites


def clean_message_request(body: bytes) -> Cleaned:
    """Raises Refusal (400), naming the field, for what is no JSON or is not on the allow-list."""
    return _clean(body, MessageRequest)


def clean_count_request(body: bytes) -> Cleaned:
    """The same for a request to count tokens."""
    return _clean(body, Prompt)


def allowed_betas(headers: Iterable[str]) -> str:
    """The allowed ones among the values of the client's anthropic-beta headers, joined as one value."""
    asked = (beta.strip() for header in headers for beta in header.split(","))
    return ",".join(dict.fromkeys(beta for beta in asked if beta in ALLOWED_BETAS))


def _clean(body: bytes, form: type[Prompt]) -> Cleaned:
    try:
        request = form.model_validate(_parse(body))
        forwarded = json.dumps(
            request.model_dump(exclude_unset=True, by_alias=True), ensure_ascii=False, allow_nan=False
        ).encode()
    except ValidationError as error:
        raise bad_request(_explain(error)) from error
    except RecursionError as error:
        raise bad_request("the body is nested too deeply") from error
    except ValueError as error:
        raise bad_request(f"the body is no JSON that may be forwarded: {error}") from error
    blocks = list(_blocks(request))
    return Cleaned(
        body=forwarded,
        model=request.model,
        prompt_tokens=_prompt_bound(forwarded, blocks),
        output_tokens=_output_bound(request),
        writes=_longest_cache_write(request, blocks),
    )


def _parse(body: bytes) -> dict[str, Any]:
    parsed = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise bad_request("the body is not a JSON object")
    refused = sorted(REFUSED_KEYS & parsed.keys())
    if refused:
        raise bad_request(f"{refused[0]}: this gateway does not forward it")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key is there twice")
    return mapping


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _explain(error: ValidationError) -> str:
    """The error that is deepest in the body is about the kind of content that was meant; `[` marks pydantic's own names."""
    deepest = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
    place = ".".join(str(part) for part in deepest["loc"] if "[" not in str(part))
    return f"{place}: {deepest['msg']}"[:500]


def _blocks(request: Prompt) -> Iterator[_Part]:
    """Every content block, also those inside of tool results."""
    for holder in (request.system, *(message.content for message in request.messages)):
        for block in holder if isinstance(holder, list) else ():
            yield block
            if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
                yield from block.content


def _prompt_bound(forwarded: bytes, blocks: list[_Part]) -> int | None:
    """A token covers at least a byte of text, also of text that a tokenizer has normalised (NFKC makes some text longer)."""
    if any(isinstance(block, DocumentBlock) for block in blocks):
        return None
    images = sum(isinstance(block, ImageBlock) for block in blocks)
    return max(len(forwarded), _normalised_size(forwarded)) + images * IMAGE_TOKENS + OVERHEAD_TOKENS


def _normalised_size(text: bytes) -> int:
    """In slices: one character can become 33 bytes, and what is sent here may be chosen to fill the memory."""
    if text.isascii():
        return len(text)
    decoded = text.decode()
    slices = (decoded[start : start + SLICE] for start in range(0, len(decoded), SLICE))
    return sum(len(unicodedata.normalize("NFKC", part).encode()) for part in slices)


def _output_bound(request: Prompt) -> int:
    """Thinking between tool calls may take more than `max_tokens`, up to its own budget."""
    if not isinstance(request, MessageRequest):
        return 0
    budget = request.thinking.budget_tokens if request.thinking else None
    return max(request.max_tokens, budget or 0)


def _longest_cache_write(request: Prompt, blocks: list[_Part]) -> CacheWrites:
    parts = [*blocks, *(request.tools or ())]
    ttls = {part.cache_control.ttl for part in parts if isinstance(part, _Cacheable) and part.cache_control}
    if "1h" in ttls:
        return CacheWrites.ONE_HOUR
    return CacheWrites.FIVE_MINUTES if ttls else CacheWrites.NONE
