"""Guard `secrets`: no key, token or password comes in, and none is written to a log.

What is added is held against detect-secrets' patterns, line by line and as data: nothing is verified, nobody is asked. What has
no shape of its own is told by its name and its randomness.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Protocol

from bot.domain.guards.change import MAX_LINE, Change, Edit, Finding

_OURS = (
    ("Anthropic key", re.compile(r"sk-ant-[\w-]{20,}")),
    ("OpenAI key", re.compile(r"\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}")),
    ("GitHub token", re.compile(r"github_pat_\w{40,}")),
    ("GitLab token", re.compile(r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-[\w-]{20,}")),
    ("Google key", re.compile(r"\bAIza[\w-]{35}")),
    ("Slack webhook", re.compile(r"hooks\.slack\.com/services/T\w+/B\w+/\w{20,}")),
)
_KEY = re.compile(r"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----\W{0,4}(?:\\n)?.{0,200}?[A-Za-z0-9+/]{40,}")
_NAMED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|passwd|api_?key|private_?key|credential)s?[\w-]*[\"']?\s*(?::=|[:=]|=>)\s*"
    r"[\"'](?P<value>[^\"'\s]{16,200})[\"']"
)
_EXAMPLE = re.compile(
    r"(?i)example|sample|dummy|placeholder|changeme|change_me|your[-_]|\bfoo\b|redacted|xxxx|\*\*\*\*|\.\.\.|<[^>]+>|\$\{|\{\{|%\(|0{8,}|1234567"
)
_LOCKS = re.compile(r"(?:lock|lock\.json|lock\.ya?ml|\.sum|lockb)$|npm-shrinkwrap\.json$")
_WORD = r"(?:password|passwd|secret|api_?key|access_?token|auth_?token|token|private_?key|credentials?)"
_HARMLESS = re.compile(
    r"(?i)(?:_(?:id|name|type|count|len|length|url|uri|path|file|at|ttl|expiry|hint)|_?ids)$|^(?:tokens|num_|n_|max_|is_|has_)"
)
_SECRET_NAME = re.compile(rf"(?i)^(?:\w+_)?{_WORD}$|^(?:\w*[a-z])?(?:Password|Secret|ApiKey|Token|PrivateKey)$")
_LOGGED = re.compile(
    r"(?i)(?:\bconsole\.(?:log|info|warn|error|debug)|\blog(?:ger)?\w*(?:\.\w+)*|\bfmt\.Print\w*|System\.(?:out|err)\.print\w*|\bputs|\bp"
    r"|println!|\bprintf?)\s*[( ](?P<said>.*)"
)
_SHELL = re.compile(
    r"(?i)\b(?:echo|printf|print|cat\s*<<<)\b[^#\n]*(?:\$\{\{\s*secrets\.(?!\w*(?:_id|_name)\b)\w+|\$\{?\w*(?:PASSWORD|SECRET|TOKEN|API_?KEY)\b\}?)"
)
_PIPED_IN = re.compile(
    r"\|\s*(?:docker login|gh auth login|npm login|gpg|ssh-add|base64 -d|podman login|helm registry login|sudo -S)"
    r"|>>?\s*[\"~$./\w]"
)
_MASKED = re.compile(r"::add-mask::")


class _Plugin(Protocol):
    secret_type: str

    def analyze_string(self, string: str) -> Iterable[str]: ...


def secrets_added(change: Change) -> Iterator[Finding]:
    for edit in change.edits:
        if not _LOCKS.search(edit.path):
            yield from _found(edit)
        yield from _logged(edit)


def _found(edit: Edit) -> Iterator[Finding]:
    """Each line once: what it is, and never the secret itself. What the base has somewhere in the file is not added."""
    known = edit.before or ""
    text = [line[:MAX_LINE] for line in (edit.after or "").split("\n")]
    for number, line in edit.added:
        if _KEY.search(" ".join(text[number - 1 : number + 6])) and "BEGIN" in line:
            yield Finding(edit.path, number, "looks like a secret: a private key")
            continue
        for kind, secret in _in(line):
            if secret not in known and not _EXAMPLE.search(secret):
                yield Finding(edit.path, number, f"looks like a secret: {kind}")
                break


def _in(line: str) -> Iterator[tuple[str, str]]:
    for kind, pattern in _OURS:
        if found := pattern.search(line):
            yield kind, found[0]
    for plugin in _plugins():
        for secret in plugin.analyze_string(line):
            yield plugin.secret_type, str(secret)
    if (named := _NAMED.search(line)) and _is_random(named["value"]):
        yield "a value that nobody would think of, under such a name", named["value"]


@cache
def _plugins() -> tuple[_Plugin, ...]:
    """Those that know a secret by its shape. Its own verification, which would ask other services, is never called."""
    from detect_secrets.plugins import (
        artifactory,
        aws,
        azure_storage_key,
        basic_auth,
        discord,
        github_token,
        jwt,
        mailchimp,
        npm,
        private_key,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        twilio,
    )

    made: tuple[Callable[[], _Plugin], ...] = (
        artifactory.ArtifactoryDetector,
        aws.AWSKeyDetector,
        azure_storage_key.AzureStorageKeyDetector,
        basic_auth.BasicAuthDetector,
        discord.DiscordBotTokenDetector,
        github_token.GitHubTokenDetector,
        jwt.JwtTokenDetector,
        mailchimp.MailchimpDetector,
        npm.NpmDetector,
        private_key.PrivateKeyDetector,
        sendgrid.SendGridDetector,
        slack.SlackDetector,
        square_oauth.SquareOAuthDetector,
        stripe.StripeDetector,
        twilio.TwilioKeyDetector,
    )
    return tuple(make() for make in made)


def _is_random(value: str) -> bool:
    counts = Counter(value)
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    kinds = sum(any(test(char) for char in value) for test in (str.islower, str.isupper, str.isdigit))
    return entropy >= 3.6 and kinds >= 2 and any(map(str.isdigit, value)) and "/" not in value[:1] and "://" not in value


# --- written to a log ---


def _logged(edit: Edit) -> Iterator[Finding]:
    added = dict(edit.added)
    if not added or PurePosixPath(edit.path).suffix in (".md", ".rst", ".txt"):
        return
    lines = _python(edit.after or "") if edit.path.endswith(".py") else None
    for number, line in added.items():
        shell = _SHELL.search(line) and not _PIPED_IN.search(line) and not _MASKED.search(line)
        if shell or (number in lines if lines is not None else _says_secret(line)):
            yield Finding(edit.path, number, f"writes a secret to a log: {line.strip()[:100]}")


def _python(text: str) -> set[int] | None:
    """The lines of calls that log or print a value with such a name; None for what is no Python 3."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    try:
        return set(_logging_lines(tree))
    except RecursionError:
        return None


def _logging_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _logs(node.func):
            values = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg not in ("file", "exc_info"))]
            if any(_tells(value) for value in values):
                yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _logs(func: ast.expr) -> bool:
    if isinstance(func, ast.Name):
        return func.id in ("print", "pprint")
    levels = ("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "msg")
    return isinstance(func, ast.Attribute) and func.attr in levels


def _tells(value: ast.expr) -> bool:
    """A value of such a name, by itself or put into a text."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return _is_secret_name(name)
        case ast.Call(func=ast.Attribute(attr="get" | "getenv"), args=[ast.Constant(value=str(name)), *_]):
            return _is_secret_name(name)
        case ast.JoinedStr(values=parts):
            inside = [part.value for part in parts if isinstance(part, ast.FormattedValue)]
        case ast.Call(func=ast.Attribute(attr="format") | ast.Name(id="str" | "repr"), args=inside):
            pass
        case ast.BinOp(left=left, right=right):
            inside = [left, right]
        case ast.Tuple(elts=inside) | ast.List(elts=inside):
            pass
        case _:
            return False
    return any(map(_tells, inside))


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and not _HARMLESS.search(name)


def _says_secret(line: str) -> bool:
    """A name of that kind outside of quotes, or put into a text."""
    if not (found := _LOGGED.search(line)):
        return False
    said = found["said"]
    inside = [name for text in re.findall(r"[$#]?\{([^{}]*)\}", said) for name in re.findall(r"\w+", text)]
    outside = re.findall(r"[A-Za-z_]\w*", re.sub(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`|//.*$|#.*$", "", said))
    return any(_is_secret_name(name) for name in [*inside, *outside])
