"""Package registries that `prepare:` may read from: the operator's word alone."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from bot.domain.policy_types import Name, Strict, Text

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORT = 3128
"""Where the registries are seen inside the sandbox, which has a loopback of its own."""

INSIDE = f"http://127.0.0.1:{PORT}"


def _registry_url(value: str) -> str:
    url = urlsplit(value)
    encrypted = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if not url.hostname or not encrypted or url.query or url.fragment or url.username or url.password:
        raise ValueError(f"{value!r} is no registry's URL: it is https://NAME/PATH, with no user and no query")
    return value.rstrip("/")


def _host(value: str) -> str:
    if not value or urlsplit(f"//{value}").netloc != value or "@" in value:
        raise ValueError(f"{value!r} is no host: it is a name such as files.example.com, with a port where it has one")
    return value.lower()


class Registry(Strict):
    url: Annotated[Text, AfterValidator(_registry_url)]
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    """Where else its files may lie, by https."""

    @property
    def origins(self) -> dict[str, str]:
        """What is asked, by the host as it is named inside."""
        url = urlsplit(self.url)
        return {url.netloc.lower(): f"{url.scheme}://{url.netloc}"} | {host: f"https://{host}" for host in self.hosts}

    @property
    def inside(self) -> str:
        """Its URL as programs in the sandbox know it."""
        url = urlsplit(self.url)
        return f"{INSIDE}/@{url.netloc.lower()}{url.path}"


def _from_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


AnyRegistry = Annotated[Registry, BeforeValidator(_from_url, json_schema_input_type=Text | Registry)]
Registries = Annotated[dict[Name, AnyRegistry], Field(max_length=20)]
DEFAULTS: dict[str, Registry] = {
    "pypi": Registry(url="https://pypi.org/simple", hosts=("files.pythonhosted.org",)),
    "npm": Registry(url="https://registry.npmjs.org"),
}


def environment(registries: dict[str, Registry]) -> dict[str, str]:
    """What has pip, uv and npm ask the registries by these names."""
    told = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "npm_config_audit": "false", "npm_config_fund": "false"}
    told["npm_config_update_notifier"] = "false"
    if pypi := registries.get("pypi"):
        told |= {"PIP_INDEX_URL": f"{pypi.inside}/", "UV_DEFAULT_INDEX": f"{pypi.inside}/"}
    if npm := registries.get("npm"):
        told["npm_config_registry"] = f"{npm.inside}/"
    return told
