"""GitLab's own description of its REST API (OpenAPI, CC BY-SA), where there is a copy of it: it is not ours to bring along.

It is looked for at $WHIMBREL_GITLAB_OPENAPI, and beside the checkout: specs/gitlab-openapi.yaml.gz in a folder next to one of
those that the checkout is in.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.contract.descriptions import cache_folder

VARIABLE = "WHIMBREL_GITLAB_OPENAPI"
BESIDE = "*/specs/gitlab-openapi.yaml.gz"
ROOT = Path(__file__).parent.parent.parent


def find() -> Path | None:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return next((found for folder in ROOT.parents for found in sorted(folder.glob(BESIDE))), None)


def lacking() -> str:
    """Why there is none; empty where there is one."""
    found = find()
    if found is None:
        return f"GitLab's own description of its API is not here: set {VARIABLE} to a copy of its OpenAPI (YAML, gzipped)"
    return "" if found.is_file() else f"{VARIABLE} names {found}, which is no file"


@cache
def description() -> dict[str, Any]:
    """Read once a machine: what has been read is kept as JSON, which takes a tenth of the time."""
    source = find()
    assert source is not None
    packed = source.read_bytes()
    kept = cache_folder() / f"gitlab-openapi-{hashlib.sha256(packed).hexdigest()[:16]}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(yaml.load(gzip.decompress(packed), Loader=loader), default=str))
        fresh.replace(kept)
    found: dict[str, Any] = json.loads(kept.read_bytes())
    return found
