"""Real projects, made into repositories from what this machine's registries publish: their own tests run without a network."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from sqlalchemy import select

from bot.domain.registries import DEFAULTS, Registry
from bot.domain.verdicts import leaves_of
from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.store.schema import attempts
from tests.fakes.world import World

PYTEST = {"run": "python -m pytest -q --junitxml=results.xml", "junit": ["results.xml"]}
TAPE = {"run": "tape test/*.js", "tap": True}
NO_NETWORK = {"run": "! python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128))' 2>&-", "required": True}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(560)]


def configured(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def pypi_url() -> str:
    asked = (sys.executable, "-m", "pip", "config", "get", "global.index-url")
    return os.environ.get("PIP_INDEX_URL") or configured(*asked) or DEFAULTS["pypi"].url


def npm_url() -> str:
    return configured("npm", "config", "get", "registry") or DEFAULTS["npm"].url


def sdist(name: str, version: str) -> tuple[bytes, Registry]:
    """The file, and the registry with the host that its index leads to."""
    index = f"{pypi_url().rstrip('/')}/{name}/"
    page = httpx.get(index, headers={"accept": "text/html"}, follow_redirects=True, timeout=60).raise_for_status().text
    [link] = [found for found in re.findall(r'href="([^"#]+)', page) if found.endswith(f"{name}-{version}.tar.gz")]
    url = urljoin(index, link)
    return httpx.get(url, timeout=60).raise_for_status().content, Registry(url=pypi_url(), hosts=(urlsplit(url).netloc,))


def tarball(name: str, version: str) -> tuple[bytes, Registry]:
    told = httpx.get(f"{npm_url().rstrip('/')}/{name}", timeout=60).raise_for_status().json()
    url = told["versions"][version]["dist"]["tarball"]
    return httpx.get(url, timeout=60).raise_for_status().content, Registry(url=npm_url(), hosts=(urlsplit(url).netloc,))


def files_of(packed: bytes) -> dict[str, bytes]:
    """Without the folder that all of them are in."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = [(member.name.partition("/")[2], archive.extractfile(member)) for member in archive if member.isfile()]
        return {path: content.read() for path, content in members if content is not None and path != ".gitignore"}


@pytest.mark.parametrize(
    ("kind", "name", "version", "check", "at_least"),
    [
        ("pypi", "toolz", "1.0.0", PYTEST, 100),
        ("pypi", "pluggy", "1.5.0", PYTEST, 50),
        ("npm", "concat-map", "0.0.1", TAPE, 1),
    ],
)
def test_its_own_tests_pass_through_what_was_prepared(
    world: World, kind: str, name: str, version: str, check: dict[str, object], at_least: int
) -> None:
    packed, registry = (sdist if kind == "pypi" else tarball)(name, version)
    world.repository("tool", files_of(packed))
    world.org = world.org.model_copy(update={"registries": {kind: registry}})
    world.services = replace(world.services, sandbox=BubblewrapSandbox())
    campaign = world.start(prepare="auto", checks=[check, NO_NETWORK])
    world.work()
    assert world.ended(world.run(campaign)) == "published: 1 file changed, all 2 checks passed"
    with world.database.reading() as tx:
        verdict = json.loads(tx.execute(select(attempts.c.verdict)).scalar_one())
    proven = leaves_of(verdict, "checks")[0]
    told = re.fullmatch(r"passed: exit 0, 0 of (\d+) cases failed", proven["base"])
    assert told, proven
    assert int(told[1]) >= at_least
    world.require_tidy()
