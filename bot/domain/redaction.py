"""What a person or a record may be shown of text that a repository, an agent or a tool wrote."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 100
# Between a name and its value, in headers, JSON and settings files.
_GAP = r"[\s:=\"'\\]{1,5}"
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, replacement, flags in (
        # A block that was cut off has no END line: then everything after its BEGIN goes.
        (
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            REDACTED,
            re.DOTALL,
        ),
        # No word boundary before a prefix: in the text of a JSON string, `\nghp_...` has none.
        (r"sk-ant-[\w-]+", REDACTED, re.ASCII),
        # GitHub's newer installation tokens are JWTs behind the prefix: dots and dashes belong to them.
        (r"gh[oprsu]_[\w-]+(?:\.[\w-]+)*", REDACTED, re.ASCII),
        (r"github_pat_\w+", REDACTED, re.ASCII),
        # What a GitHub App signs with its key; and, as git sends it, `x-access-token:` and a token, in base64.
        (r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*", REDACTED, re.ASCII),
        (r"eC1hY2Nlc3MtdG9rZW46[A-Za-z0-9+/=]*", REDACTED, re.ASCII),
        (r"gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-[\w-]+(?:\.[\w-]+)*", REDACTED, re.ASCII),
        (r"(?:AKIA|ASIA)[A-Z0-9]{16}", REDACTED, re.ASCII),
        (rf"(aws_secret_access_key{_GAP})[A-Za-z0-9/+=]{{40}}", rf"\1{REDACTED}", re.IGNORECASE),
        (rf"(\bauthorization{_GAP}(?:bearer|basic|token)\s+)[^\s\"'\\]+", rf"\1{REDACTED}", re.IGNORECASE),
        (r"(\bbearer\s+)[\w.~+/=-]{12,}", rf"\1{REDACTED}", re.IGNORECASE | re.ASCII),
        (rf"(\b(?:x-api-key|private-token|job-token){_GAP})[\w.~+/=-]+", rf"\1{REDACTED}", re.IGNORECASE | re.ASCII),
        (r"(://[^/\s:@]{0,200}:)[^/\s@]{1,500}(?=@)", rf"\1{REDACTED}", 0),
    )
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
_ESCAPE_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|\Z)|[ -/]*[0-~])", re.DOTALL)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without what looks like a credential, and without each of the given `secrets`.

    Found by their shape: keys of Anthropic, GitHub, GitLab and AWS, JWTs, private key blocks, authorization headers,
    passwords in URLs. A secret of no known shape is found only when it is given.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def redact_data(value: Any, secrets: Sequence[str] = (), *, depth: int = MAX_DEPTH) -> Any:
    """JSON-like data with every string in it redacted, keys too, and all that is nested deeper than `depth`.

    `value` itself is left as it is.
    """
    if isinstance(value, str):
        return redact(value, secrets)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == 0:
        return REDACTED
    if isinstance(value, Mapping):
        return {redact(str(key), secrets): redact_data(item, secrets, depth=depth - 1) for key, item in value.items()}
    return [redact_data(item, secrets, depth=depth - 1) for item in value]


def one_line(text: str, limit: int = 200) -> str:
    """Text that is safe to print on one line of a terminal: at most `limit` characters, an ellipsis where it was cut.

    Escape sequences, control characters and invisible ones (such as those that turn the direction of writing) are dropped,
    white space is one blank.
    """
    text = _ESCAPE_SEQUENCES.sub("", text[: 50 * limit])
    kept = "".join(" " if char.isspace() else char for char in text if char.isspace() or not _invisible(char))
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def visible(text: str) -> str:
    """Text of many lines, safe to print: control characters and invisible ones are spelled out, as `<U+202E>`."""
    return "".join(char if char == "\n" or not _hidden(char) else f"<U+{ord(char):04X}>" for char in text.expandtabs(4))


def escaped(text: str) -> str:
    """JSON that says the same as `text`, with an escape for every character that is not seen: a terminal does nothing on it."""
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1] if _invisible(found[0]) else found[0], text)


def _invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"}


def _hidden(char: str) -> bool:
    return _invisible(char) or unicodedata.category(char) in {"Zl", "Zp"}
