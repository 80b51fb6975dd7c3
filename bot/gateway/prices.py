"""Reads the price table: the one that is shipped, or the operator's own in its place."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bot.domain.prices import PriceTable
from bot.errors import ConfigurationError

MEND = "write it like bot/gateway/prices.yaml"


def load_prices(path: Path | None = None) -> PriceTable:
    """The table in `path`, which only the operator sets; without one, the table shipped with this version.

    Raises ConfigurationError naming the file and what is wrong in it.
    """
    return _read(path, str(path)) if path else _shipped()


@cache
def _shipped() -> PriceTable:
    """It takes 45 ms to read: a worker does so once, before it forks."""
    return _read(files("bot.gateway").joinpath("prices.yaml"), "bot/gateway/prices.yaml")


def _read(file: Traversable, place: str) -> PriceTable:
    try:
        return PriceTable.model_validate(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigurationError(f"the price table {place} cannot be read: {error}", mend=MEND) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"the price table {place} is wrong at {where or 'its top'}: {first['msg']}", mend=MEND
        ) from error
