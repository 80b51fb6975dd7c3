"""What the payloads and the answers of every host have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from bot.errors import HostError


def _host(web_url: str) -> str:
    host = urlsplit(web_url).hostname
    if not host:
        raise ValueError(f"{web_url!r} names no host")
    return host


Number = Annotated[int, Field(ge=0, lt=2**63)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""null where there is none."""
Host = Annotated[str, AfterValidator(_host)]
"""The network name in the URL of a page."""

_Model = TypeVar("_Model", bound=BaseModel)


def places(error: ValidationError) -> str:
    """Where a payload is not as documented, and how: the first three places. Nothing of what it says there is repeated."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}" for each in found[:3])


def answer_of(model: type[_Model], answer: Any, host: str) -> _Model:
    """The fields of an answer that are needed. Raises HostError, naming the place, for one that is not as documented."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise strange(error, host) from error


def strange(error: ValidationError, host: str) -> HostError:
    return HostError(f"{host}'s answer is not as documented: {places(error)}", mend=f"is the URL that of a {host} instance?")
