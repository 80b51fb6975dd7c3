from __future__ import annotations

import tomllib
from typing import Any

import pytest

from bot.demo.packaging import Unreadable, migrated

RICH = """
import os, re
from setuptools import find_packages, setup

BASE = ["requests>=2"]

def read_version():
    with open(os.path.join("src/acme", "__init__.py")) as f, open("src/acme/__init__.py") as g:
        return re.search("x", g.read()).group(1)

with open("README.md", encoding="utf-8") as fh:
    long_description = fh.read()

setup(
    name="acme-tool",
    version=read_version(),
    description='Says "hi"',
    long_description=long_description,
    author="Ada", author_email="ada@example.com",
    url="https://example.com/acme",
    project_urls={"Issues": "https://example.com/issues"},
    license="MIT",
    packages=find_packages("src", exclude=["tests"]),
    package_dir={"": "src"},
    install_requires=BASE + ["click"],
    extras_require={"dev": ["pytest"]},
    entry_points={"console_scripts": ["acme = acme.cli:main"], "acme.plugins": ["a=acme.a"]},
    python_requires=">=3.8",
    classifiers=["License :: OSI Approved :: MIT License", "Programming Language :: Python :: 3"],
    keywords="one two",
)
"""


def table(setup_py: str, setup_cfg: str = "", **texts: str) -> dict[str, Any]:
    return tomllib.loads(migrated(setup_py, setup_cfg, **texts).pyproject)


def test_all_that_setup_py_says_is_in_pyproject() -> None:
    assert table(RICH) == {
        "build-system": {"requires": ["setuptools>=77"], "build-backend": "setuptools.build_meta"},
        "project": {
            "name": "acme-tool",
            "description": 'Says "hi"',
            "readme": "README.md",
            "requires-python": ">=3.8",
            "license": "MIT",
            "authors": [{"name": "Ada", "email": "ada@example.com"}],
            "keywords": ["one", "two"],
            "classifiers": ["Programming Language :: Python :: 3"],
            "dependencies": ["requests>=2", "click"],
            "dynamic": ["version"],
            "optional-dependencies": {"dev": ["pytest"]},
            "urls": {"Homepage": "https://example.com/acme", "Issues": "https://example.com/issues"},
            "scripts": {"acme": "acme.cli:main"},
            "entry-points": {"acme.plugins": {"a": "acme.a"}},
        },
        "tool": {
            "setuptools": {
                "packages": {"find": {"where": ["src"], "exclude": ["tests"]}},
                "package-dir": {"": "src"},
                "dynamic": {"version": {"attr": "acme.__version__"}},
            }
        },
    }


def test_setup_cfg_counts_too_and_its_tools_move_along() -> None:
    cfg = """
[metadata]
name = acme
version = attr: acme.__version__
long_description = file: README.rst
project_urls =
    Docs = https://example.com/docs
[options]
packages = find:
install_requires =
    requests
    click>=8
[options.packages.find]
exclude = tests*
[options.entry_points]
console_scripts =
    acme = acme.cli:main
[tool:pytest]
addopts = -q
[flake8]
max-line-length = 100
exclude =
    build
    dist
[bdist_wheel]
universal = 1
[pbr]
warnerrors = true
"""
    plan = migrated("from setuptools import setup\nsetup()\n", cfg)
    document = tomllib.loads(plan.pyproject)
    assert document["project"] == {
        "name": "acme",
        "readme": "README.rst",
        "dependencies": ["requests", "click>=8"],
        "dynamic": ["version"],
        "urls": {"Docs": "https://example.com/docs"},
        "scripts": {"acme": "acme.cli:main"},
    }
    assert document["tool"]["pytest"] == {"ini_options": {"addopts": "-q"}}
    assert document["tool"]["setuptools"]["packages"] == {"find": {"exclude": ["tests*"]}}
    assert plan.flake8 == "[flake8]\nmax-line-length = 100\nexclude =\n    build\n    dist\n"
    assert plan.lost == ("pbr",)


def test_the_template_decides_on_the_build_system_even_with_gaps_in_it() -> None:
    template = """
[build-system]
requires = ["flit_core>=3.9"]
build-backend = "flit_core.buildapi"

[project]
name = <the name>
requires-python = ">=3.10"

[tool.ruff]
line-length = 100
"""
    document = table('import setuptools\nsetuptools.setup(name="a", version="1", py_modules=["a"])', template=template)
    assert document == {
        "build-system": {"requires": ["flit_core>=3.9"], "build-backend": "flit_core.buildapi"},
        "project": {"name": "a", "version": "1"},
        "tool": {"ruff": {"line-length": 100}},
    }


def test_what_an_existing_pyproject_says_stays() -> None:
    existing = '[build-system]\nrequires = ["x"]\nbuild-backend = "x"\n[tool.black]\nline-length = 99\n'
    document = table('setup(name="a", version="1")', existing=existing)
    assert document["build-system"]["requires"] == ["x"]
    assert document["tool"] == {"black": {"line-length": 99}}


def test_dependencies_in_a_file_become_dynamic() -> None:
    document = table('setup(name="a", version="1", install_requires=open("requirements.txt").read().splitlines())')
    assert document["project"]["dynamic"] == ["dependencies"]
    assert document["tool"]["setuptools"]["dynamic"] == {"dependencies": {"file": ["requirements.txt"]}}


@pytest.mark.parametrize(
    ("setup_py", "words"),
    [
        ("setup(", "not valid Python"),
        ("print('setup(name=1)')", "calls setup\\(\\) nowhere"),
        ("setup(name=compute())", "project's name"),
        ("setup(name='a', version=compute())", "computes the version"),
    ],
)
def test_what_cannot_be_read_is_said(setup_py: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        migrated(setup_py)
