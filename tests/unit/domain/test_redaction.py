from __future__ import annotations

import base64
import json

import pytest

from bot.domain.redaction import REDACTED, escaped, one_line, redact, redact_data

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjM0In0." + "s-_" * 150


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-x",
        "sk-ant-api03-" + "aB-_9" * 40,
        "ghp_" + "a1" * 18,
        "ghs_123456_" + JWT,
        JWT,
        base64.b64encode(f"x-access-token:ghs_123456_{JWT}".encode()).decode(),
        "gho_short",
        "github_pat_11ABCDE_" + "z" * 60,
        "glpat-abcDEF_-123.01.0w1x2y3z",
        "glrt-t1_" + "q" * 20,
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjE=\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg (and the rest was cut off)",
    ],
)
@pytest.mark.parametrize("around", ["{}", 'key = "{}"', "a line\n{}"])
def test_a_credential_is_found_by_its_shape(secret: str, around: str) -> None:
    text = around.format(secret)
    assert redact(text).rstrip('"') == around.format(REDACTED).rstrip('"')
    escaped = redact(json.dumps(text))
    assert not any(part in escaped for part in secret.split("\n") if part)


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("Authorization: Bearer abc", "Authorization: Bearer", "abc"),
        ('{"authorization":"token s3cr3t"}', '"authorization":"token', "s3cr3t"),
        ("curl -H 'x-api-key: placeholder-or-not' host", "x-api-key:", "placeholder-or-not"),
        ("use bearer AAAAAAAAAAAAAAAAAAAA now", "use bearer", "AAAAAAAAAAAAAAAAAAAA"),
        ("PRIVATE-TOKEN: abc.def", "PRIVATE-TOKEN:", "abc.def"),
        ("git clone https://bot:hunter2@example.com/x.git", "https://bot:[redacted]@example.com/x.git", "hunter2"),
        ("aws_secret_access_key = " + "k/+A" * 10, "aws_secret_access_key =", "k/+A"),
    ],
)
def test_a_secret_is_found_by_the_words_before_it(text: str, kept: str, gone: str) -> None:
    shown = redact(text)
    assert kept in shown
    assert gone not in shown


@pytest.mark.parametrize(
    "text", ["the bearer of news", "https://example.com:8080/a@b", "python setup.py install", "an ascii_letters-table"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_given_secrets_go_whatever_their_shape_the_longest_first() -> None:
    assert redact("abc abcdef", ["abc", "abcdef", ""]) == f"{REDACTED} {REDACTED}"


def test_what_was_redacted_once_stays_as_it_is() -> None:
    text = "x-api-key: sk-ant-abc, Authorization: Bearer ghp_abc, https://a:sk-ant-b@c"
    assert redact(redact(text)) == redact(text)


def test_data_is_redacted_in_every_string_and_stays_data() -> None:
    data = {"a": ["ghp_x", 1, None, {"sk-ant-k": "mine"}], "b": True}
    assert redact_data(data, ["mine"]) == {"a": [REDACTED, 1, None, {REDACTED: REDACTED}], "b": True}
    assert data["a"][0] == "ghp_x"  # type: ignore[index]


def test_redaction_is_linear_in_hostile_text() -> None:
    for unit in ("-----BEGIN ", "://a:", "Authorization: ", "ghp_a.", "-----BEGIN PRIVATE KEY-----"):
        redact(unit * 50_000)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07text", "red text"),
        ("a\nb\r\n\tc\x00\x08d", "a b cd"),
        ("safe\u202ekcab\u200b\ufeff!", "safekcab!"),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_one_line_is_safe_to_print(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize("text", ["plain", "größe 漢字 🙂", "\x1b[2J", "\x9b2J\x7f", "\u202eevil\U000e0041", "\\x9b"])
def test_escaped_json_says_the_same_and_does_nothing_to_a_terminal(text: str) -> None:
    made = escaped(json.dumps([text], ensure_ascii=False))
    assert json.loads(made) == [text]
    assert all(char.isprintable() for char in made)
    assert escaped('["größe 漢字 🙂"]') == '["größe 漢字 🙂"]'
