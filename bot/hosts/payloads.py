"""What payloads of every host have in common."""

from __future__ import annotations

from pydantic import ValidationError


def places(error: ValidationError) -> str:
    """Where a payload is not as documented, and how: the first three places. Nothing of what it says there is repeated."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}" for each in found[:3])
