"""Packaging metadata out of the text of setup.py and setup.cfg, into the text of a pyproject.toml.

Nothing is executed: setup.py is read as a syntax tree. What a value is computed from is kept by name (a file, an attribute of
the package), as setuptools' dynamic metadata can.
"""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from bot.demo.toml_text import toml

Table = dict[str, Any]

_BUILD_SYSTEM: Table = {"requires": ["setuptools>=77"], "build-backend": "setuptools.build_meta"}
_SAME_NAME = {"name": "name", "description": "description", "license": "license", "python_requires": "requires-python"}
_SCRIPTS = {"console_scripts": "scripts", "gui_scripts": "gui-scripts"}
_TOOLS = {
    "tool:pytest": ("pytest", "ini_options"),
    "coverage:run": ("coverage", "run"),
    "coverage:report": ("coverage", "report"),
    "isort": ("isort",),
    "mypy": ("mypy",),
}
_CFG_LISTS = {"install_requires", "packages", "py_modules", "classifiers", "keywords", "setup_requires", "tests_require"}
_ORDER = (
    *("name", "version", "description", "readme", "requires-python", "license", "authors", "maintainers", "keywords"),
    *("classifiers", "dependencies", "dynamic", "optional-dependencies", "urls", "scripts", "gui-scripts", "entry-points"),
)
_ABSORBED = re.compile(r"metadata|options(\.(packages\.find|extras_require|entry_points|package_data))?|bdist_wheel|aliases")


class Unreadable(ValueError):
    """setup.py does not say in so many words what pyproject.toml needs."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that only running setup.py would give; `files` are the paths that its expression names."""

    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """find_packages(): `options` are where, include and exclude."""

    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Migrated:
    """What to write: pyproject.toml, and .flake8 where setup.cfg had that section, because flake8 reads no pyproject.toml.

    `lost` names the sections that have no place in either.
    """

    name: str
    pyproject: str
    flake8: str
    lost: tuple[str, ...]


def migrated(setup_py: str, setup_cfg: str = "", *, template: str = "", existing: str = "") -> Migrated:
    """The new files. `template` is followed for the build system and for tools; `existing` is a pyproject.toml to keep.

    Raises Unreadable.
    """
    cfg = _read_cfg(setup_cfg)
    metadata = {**_cfg_metadata(cfg), **_setup_arguments(setup_py)}
    wanted, kept = _readable_tables(template), _readable_tables(existing)
    project, setuptools = _project(metadata)
    document: Table = {
        "build-system": wanted.get("build-system") or kept.get("build-system") or _BUILD_SYSTEM,
        "project": _ordered({**_defaults(wanted.get("project", {})), **project, **kept.get("project", {})}),
    }
    tool = {**wanted.get("tool", {}), **_tools(cfg), **kept.get("tool", {})}
    if not isinstance(document["project"].get("name"), str):
        raise Unreadable("neither setup.py nor setup.cfg says the project's name in so many words")
    if setuptools and "setuptools" in document["build-system"]["build-backend"]:
        tool["setuptools"] = {**setuptools, **tool.get("setuptools", {})}
    return Migrated(
        name=document["project"]["name"],
        pyproject=toml({**document, "tool": tool} if tool else document),
        flake8=_section_text(cfg, "flake8"),
        lost=tuple(name for name in cfg.sections() if not _ABSORBED.fullmatch(name) and name not in {*_TOOLS, "flake8"}),
    )


# --- setup.py ---


def _setup_arguments(text: str) -> Table:
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(f"setup.py is not valid Python: {error}") from error
    names = _module_names(module)
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and _called(node) == "setup"]
    if not calls:
        raise Unreadable("setup.py calls setup() nowhere")
    return {keyword.arg: _value(keyword.value, names) for keyword in calls[-1].keywords if keyword.arg}


def _module_names(module: ast.Module) -> dict[str, ast.AST]:
    names: dict[str, ast.AST] = {}
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = value
            case ast.FunctionDef(name=name):
                names[name] = node
            case ast.With(items=[ast.withitem(context_expr=opened, optional_vars=ast.Name(id=name))]):
                names[name] = opened
    return names


def _value(node: ast.AST, names: Mapping[str, ast.AST]) -> Any:
    read: Any = None
    match node:
        case ast.Constant(value=value):
            read = value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            values = [_value(item, names) for item in items]
            read = None if any(isinstance(item, Computed) for item in values) else values
        case ast.Dict(keys=keys, values=items):
            pairs = ((key.value, _value(item, names)) for key, item in zip(keys, items, strict=True) if _is_text(key))
            read = {key: item for key, item in pairs if not isinstance(item, Computed)}
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            read = _sum(_value(left, names), _value(right, names))
        case ast.Name(id=name) if name in names and not isinstance(names[name], ast.FunctionDef):
            read = _value(names[name], {known: value for known, value in names.items() if known != name})
        case ast.Call() if _called(node) in {"find_packages", "find_namespace_packages"}:
            read = _found(node, names)
    return Computed(tuple(dict.fromkeys(_files_in(node, dict(names))))) if read is None else read


def _sum(left: Any, right: Any) -> str | list[Any] | None:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    return None


def _is_text(node: ast.AST | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _found(call: ast.Call, names: Mapping[str, ast.AST]) -> Found:
    options = {keyword.arg: _value(keyword.value, names) for keyword in call.keywords if keyword.arg}
    if call.args:
        options["where"] = _value(call.args[0], names)
    return Found(options)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _files_in(node: ast.AST, names: dict[str, ast.AST]) -> Iterator[str]:
    """Paths that an expression names, also through the module's own names and functions."""
    for part in ast.walk(node):
        match part:
            case ast.Constant(value=str(text)) if re.fullmatch(r"[\w./-]+\.(py|txt|md|rst|in)|VERSION", text):
                yield text
            case ast.Name(id=name) if name in names:
                yield from _files_in(names.pop(name), names)


# --- setup.cfg ---


def _read_cfg(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Unreadable(f"setup.cfg cannot be read: {error}") from error
    return parser


def _cfg_metadata(cfg: configparser.ConfigParser) -> Table:
    metadata: Table = {}
    for section in ("metadata", "options"):
        for key, text in cfg[section].items() if cfg.has_section(section) else ():
            metadata[key.replace("-", "_")] = _cfg_value(key.replace("-", "_"), text)
    if isinstance(metadata.get("packages"), Found):
        metadata["packages"] = Found(_lists(cfg, "options.packages.find"))
    for key in ("extras_require", "entry_points", "package_data"):
        if tables := _lists(cfg, f"options.{key}"):
            metadata[key] = tables
    return metadata


def _cfg_value(key: str, text: str) -> Any:
    if text.strip() in {"find:", "find_namespace:"}:
        return Found()
    if text.startswith("file:"):
        return Computed(tuple(name.strip() for name in text.removeprefix("file:").split(",")))
    if text.startswith("attr:"):
        return Computed((text.removeprefix("attr:").strip().rpartition(".")[0].replace(".", "/") + ".py",))
    if key in _CFG_LISTS:
        return _lines(text)
    if key in {"project_urls", "package_dir"}:
        pairs = (line.partition("=") for line in _lines(text))
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text.strip()


def _lists(cfg: configparser.ConfigParser, section: str) -> dict[str, list[str]]:
    return {key: _lines(text) for key, text in cfg[section].items()} if cfg.has_section(section) else {}


def _lines(text: str) -> list[str]:
    parts = text.splitlines() if "\n" in text else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _tools(cfg: configparser.ConfigParser) -> Table:
    tools: Table = {}
    for section, (tool, *inner) in _TOOLS.items():
        if cfg.has_section(section):
            values = {key: _scalar(text) for key, text in cfg[section].items()}
            tools.setdefault(tool, {}).update({inner[0]: values} if inner else values)
    return tools


def _scalar(text: str) -> Any:
    if "\n" in text.strip():
        return _lines(text)
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return int(text) if re.fullmatch(r"\d+", text) else text.strip()


def _section_text(cfg: configparser.ConfigParser, section: str) -> str:
    if not cfg.has_section(section):
        return ""
    lines = (f"{key} = {text}".replace("\n", "\n    ") for key, text in cfg[section].items())
    return f"[{section}]\n" + "\n".join(line.replace("= \n", "=\n") for line in lines) + "\n"


# --- pyproject.toml ---


def _project(metadata: Table) -> tuple[Table, Table]:
    """The tables [project] and [tool.setuptools]."""
    dynamic: Table = {}
    project: Table = {new: metadata[old] for old, new in _SAME_NAME.items() if isinstance(metadata.get(old), str)}
    # What setuptools itself takes where no version is given.
    _place(project, dynamic, "version", metadata.get("version", "0.0.0"))
    if isinstance(metadata.get("long_description"), Computed) and metadata["long_description"].files:
        project["readme"] = metadata["long_description"].files[0]
    _place(project, dynamic, "dependencies", metadata.get("install_requires"))
    for role in ("author", "maintainer"):
        person = {"name": metadata.get(role), "email": metadata.get(f"{role}_email")}
        if person := {key: value for key, value in person.items() if isinstance(value, str)}:
            project[f"{role}s"] = [person]
    keywords = metadata.get("keywords")
    if isinstance(keywords, str | list):
        project["keywords"] = re.split(r"[\s,]+", keywords.strip()) if isinstance(keywords, str) else keywords
    # A license expression and a license classifier exclude each other (PEP 639).
    classifiers = metadata.get("classifiers")
    if isinstance(classifiers, list):
        project["classifiers"] = [line for line in classifiers if not line.startswith("License ::")]
    project |= _urls(metadata) | _entry_points(metadata.get("entry_points"))
    if extras := _extras(metadata):
        project["optional-dependencies"] = extras
    if dynamic:
        project["dynamic"] = sorted(dynamic)
    return project, _setuptools(metadata, dynamic)


def _place(project: Table, dynamic: Table, key: str, value: Any) -> None:
    if isinstance(value, Computed):
        dynamic[key] = _origin(value)
    elif value:
        project[key] = value


def _origin(value: Computed) -> Table:
    """Where setuptools finds a dynamic value: an attribute of a module, or files."""
    if not value.files:
        raise Unreadable("how setup.py computes the version or the dependencies cannot be told without running it")
    module = next((path for path in value.files if path.endswith(".py")), None)
    if module is None:
        return {"file": list(value.files)}
    dotted = module.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return {"attr": f"{dotted}.__version__"}


def _urls(metadata: Table) -> Table:
    urls = {"Homepage": metadata["url"]} if isinstance(metadata.get("url"), str) else {}
    if isinstance(metadata.get("project_urls"), dict):
        urls |= metadata["project_urls"]
    return {"urls": urls} if urls else {}


def _entry_points(groups: Any) -> Table:
    if not isinstance(groups, dict):
        return {}
    tables: Table = {}
    for group, lines in groups.items():
        pairs = (line.partition("=") for line in (_lines(lines) if isinstance(lines, str) else lines))
        points = {name.strip(): target.strip() for name, _, target in pairs}
        if group in _SCRIPTS:
            tables[_SCRIPTS[group]] = points
        else:
            tables.setdefault("entry-points", {})[group] = points
    return tables


def _extras(metadata: Table) -> Table:
    extras = metadata.get("extras_require")
    extras = extras if isinstance(extras, dict) else {}
    extras = {name: _lines(wanted) if isinstance(wanted, str) else wanted for name, wanted in extras.items()}
    tests = metadata.get("tests_require")
    if isinstance(tests, list):
        extras.setdefault("test", tests)
    return extras


def _setuptools(metadata: Table, dynamic: Table) -> Table:
    table: Table = {}
    packages = metadata.get("packages")
    if isinstance(packages, Found):
        options = {key: value if isinstance(value, list) else [value] for key, value in packages.options.items()}
        table["packages"] = {"find": options}
    elif isinstance(packages, list):
        table["packages"] = packages
    for old, new in (("py_modules", "py-modules"), ("package_dir", "package-dir"), ("package_data", "package-data")):
        if isinstance(metadata.get(old), list | dict):
            table[new] = metadata[old]
    if dynamic:
        table["dynamic"] = dynamic
    return table


def _ordered(project: Table) -> Table:
    """As the packaging guide orders it; a key that it does not know comes last."""
    return {key: project[key] for key in sorted(project, key=(*_ORDER, *project).index)}


def _defaults(project: Table) -> Table:
    return {key: value for key, value in project.items() if key == "requires-python"}


def _readable_tables(text: str) -> Table:
    """The tables of a TOML text. Of a template with gaps for a person to fill, those tables that are TOML as they stand."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        pass
    tables: Table = {}
    for section in re.split(r"(?m)^(?=\[)", text):
        try:
            read = tomllib.loads(section)
        except tomllib.TOMLDecodeError:
            continue
        for key, value in read.items():
            tables[key] = {**tables.get(key, {}), **value} if isinstance(value, dict) else value
    return tables
