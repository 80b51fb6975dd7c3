"""What pydantic found wrong with a policy, in plain sentences."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.domain.steps import ClaudeStep, CommandStep, EditStep, TemplateStep

Location = tuple[str | int, ...]
LineOf = Callable[[Sequence[str | int]], int]

NOT_OFFERED_YET = frozenset(
    {
        *("judge", "fan_out"),
        *("commit", "retries", "notify", "cache", "artifacts", "review"),
    }
)
"""Keys of policies that this version would have to ignore. It refuses them, and says why."""

_STEPS: dict[str, type[BaseModel]] = {
    "command step": CommandStep,
    "template step": TemplateStep,
    "Claude step": ClaudeStep,
    "edit step": EditStep,
}

_EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "list_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "decimal_max_places": "a number with at most {decimal_places} decimal places",
    "decimal_max_digits": "a number with at most {max_digits} digits",
    "decimal_whole_digits": "a number with at most {whole_digits} digits before the point",
    "string_too_short": "a text of at least {min_length} character",
    "string_too_long": "a text of at most {max_length} characters",
    "too_short": "a list of at least {min_length}",
}


def mistakes(model: type[BaseModel], errors: Sequence[ErrorDetails], line_of: LineOf) -> list[tuple[int, str]]:
    """(line, sentence) for each place where something is wrong, in the order of the file."""
    places: dict[Location, list[ErrorDetails]] = {}
    for error in errors:
        places.setdefault(_place(error), []).append(error)
    found = [(line_of(place), _sentence(model, place, wrong)) for place, wrong in places.items()]
    return sorted(found, key=lambda mistake: mistake[0])


def _place(error: ErrorDetails) -> Location:
    location = error["loc"]
    if error["type"] in {"extra_forbidden", "missing"}:
        return (*_written(location[:-1]), location[-1])
    return _written(location)


def _written(location: Location) -> Location:
    """Without what pydantic adds to tell the members of a union apart, such as `list[str]`: no key has a blank or a bracket."""
    return tuple(part for part in location if isinstance(part, int) or not _names_a_type(part))


def _names_a_type(part: str) -> bool:
    return part in _STEPS or part in {"str", "int", "bool"} or part.startswith(("literal[", "list[", "dict[", "constrained-"))


def _sentence(model: type[BaseModel], place: Location, errors: Sequence[ErrorDetails]) -> str:
    first = errors[0]
    match first["type"]:
        case "extra_forbidden":
            return _unknown_key(model, first["loc"], dotted(place))
        case "missing":
            return f"`{dotted(place)}` is missing"
        case "union_tag_not_found":
            return _no_step(place, first["input"])
        case "value_error":
            said = str(first["ctx"]["error"])
            return f"`{dotted(place)}`: {said}" if place else said
    expected = dict.fromkeys(_expected(error) for error in errors)
    if not place:
        return f"a policy is {' or '.join(expected)}, not {_shown(first['input'])}"
    return f"`{dotted(place)}` is {_shown(first['input'])}; it must be {' or '.join(expected)}"


def dotted(place: Location) -> str:
    """("steps", 0, "to") -> steps[0].to"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _expected(error: ErrorDetails) -> str:
    words = _EXPECTED.get(error["type"])
    return words.format_map(error.get("ctx", {})) if words else error["msg"]


def _unknown_key(model: type[BaseModel], location: Location, place: str) -> str:
    *around, key = location
    kind, known = _known_keys(model, around)
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.7)
    if near:
        return f"`{place}` is unknown{kind}: did you mean `{near[0]}`?"
    if key in NOT_OFFERED_YET:
        return f"`{place}` is not offered yet"
    return f"`{place}` is unknown{kind} (known: {', '.join(known)})"


def _known_keys(model: type[BaseModel], around: Sequence[str | int]) -> tuple[str, list[str]]:
    """The keys of the model at a location, and ` in a ...` where it is one of a union's."""
    kind = ""
    for part in around:
        if part in _STEPS:
            model, kind = _STEPS[str(part)], f" in a {part}"
        elif isinstance(part, str) and part in model.model_fields:
            model = _model_within(model.model_fields[part].annotation) or model
    return kind, list(model.model_fields)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds: Check for list[Check]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_within(argument))), None)


def _no_step(place: Location, value: Any) -> str:
    kinds = "a step has `run:`, or `template:` and `to:`, or `claude:` or `prompt:`"
    if not isinstance(value, dict):
        return f"`{dotted(place)}` is {_shown(value)}; {kinds}"
    for key in value:
        near = difflib.get_close_matches(key, ["run", "template", "claude", "prompt"], n=1, cutoff=0.6)
        if near:
            return f"`{dotted((*place, key))}` is unknown: did you mean `{near[0]}`?"
        if key in NOT_OFFERED_YET:
            return f"`{dotted((*place, key))}` is not offered yet"
    return f"`{dotted(place)}` is no step: {kinds}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return "a list" if value else "an empty list"
        case bool():
            return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
