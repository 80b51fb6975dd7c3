"""The tests of a Python file, by its syntax tree; by their names alone where it is no Python 3."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
Read = tuple[str, int, int, int, int, str]
"""Name, line, rows, strong and weak assertions, how it is skipped."""

_SKIPS = {"skip", "skipif", "xfail", "skipIf", "skipUnless", "expectedFailure"}
_WEAK_METHODS = {"assertIsNotNone", "assertTrue", "assertIsInstance", "assertNotEqual"}
_ASSERTING = re.compile(r"(?:assert|check|expect|verify|should)", re.IGNORECASE)
_PASSING = (ast.Pass, ast.Continue, ast.Return)
_DEEP = 100


def read_python(text: str) -> list[Read]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(text)
        return list(_in(module.body, _module_off(module.body), True, 0))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = ((number, re.match(r"\s*def (test\w*)\(", line)) for number, line in enumerate(text.split("\n"), 1))
        return [(name[1], number, 1, 1, 0, "") for number, name in found if name]


def _in(body: list[ast.stmt], off: str, collected: bool, depth: int) -> Iterator[Read]:
    for node in body:
        if isinstance(node, Function) and collected and node.name.startswith("test"):
            yield _case(node, off)
        elif isinstance(node, ast.ClassDef) and depth < _DEEP:
            runs = node.name.startswith("Test") or any("Test" in _name(base) for base in node.bases)
            yield from _in(node.body, off or _skip(node.decorator_list) or _module_off(node.body), runs, depth + 1)


def _module_off(body: list[ast.stmt]) -> str:
    """What keeps all of a module, or of a class, from running."""
    for node in body:
        if isinstance(node, ast.Assign) and any(_name(target) in ("pytestmark", "__test__") for target in node.targets):
            value = node.value
            if isinstance(value, ast.Constant) and value.value is False:
                return "__test__ = False"
            marks = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            if how := _skip(marks):
                return how
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = _name(node.value.func)
            if called in ("pytest.skip", "pytest.importorskip"):
                return called
        if isinstance(node, ast.Raise) and node.exc is not None and "SkipTest" in _name(node.exc):
            return "SkipTest"
    return ""


def _skip(decorators: list[ast.expr]) -> str:
    return next((_name(each) for each in decorators if _name(each).rpartition(".")[2] in _SKIPS), "")


def _case(node: Function, off: str) -> Read:
    strong, weak = _assertions(node.body, 0)
    skipped = off or _skip(node.decorator_list) or _begins_with_skip(node.body)
    return node.name, node.lineno, _rows(node.decorator_list), strong, weak, skipped


def _begins_with_skip(body: list[ast.stmt]) -> str:
    """A skip, or an end, before anything is asserted, whatever stands before it."""
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called = _name(statement.value.func)
            if called.rpartition(".")[2] in ("skip", "skipTest", "xfail", "fail_if_slow"):
                return called
        if isinstance(statement, ast.Raise) and statement.exc is not None and "Skip" in _name(statement.exc):
            return "SkipTest"
        if isinstance(statement, ast.Return):
            return "return"
        if _assertions([statement], 0) != (0, 0):
            break
    return ""


def _rows(decorators: list[ast.expr]) -> int:
    rows = 1
    for each in decorators:
        if isinstance(each, ast.Call) and _name(each.func).endswith("parametrize"):
            values = (
                each.args[1] if len(each.args) > 1 else next((k.value for k in each.keywords if k.arg == "argvalues"), None)
            )
            rows *= len(values.elts) if isinstance(values, ast.List | ast.Tuple) and values.elts else 2
    return rows


def _assertions(body: list[ast.stmt], depth: int) -> tuple[int, int]:
    """How many say much, and how many little; what cannot be reached, or is caught and forgotten, says nothing."""
    strong = weak = 0
    for node in body:
        if depth > _DEEP:
            break
        more, less = _of_statement(node, depth)
        strong, weak = strong + more, weak + less
        if isinstance(node, ast.Return | ast.Raise):
            break
    return strong, weak


def _of_statement(node: ast.stmt, depth: int) -> tuple[int, int]:
    match node:
        case ast.Assert(test=test):
            return _worth(test, 0)
        case ast.Expr(value=ast.Await(value=value)) | ast.Expr(value=value):
            return _of_call(value)
        case ast.With() | ast.AsyncWith():
            inner = [_of_call(item.context_expr) for item in node.items] + [_assertions(node.body, depth + 1)]
        case ast.If(test=ast.Constant(value=value)) if not value:
            inner = [_assertions(node.orelse, depth + 1)]
        case ast.Try() if any(_forgets(handler) for handler in node.handlers):
            inner = [_assertions(each, depth + 1) for each in (node.orelse, node.finalbody)]
        case ast.Try():
            inner = [_assertions(each, depth + 1) for each in (node.body, node.orelse, node.finalbody)]
        case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
            inner = [_assertions(each, depth + 1) for each in (node.body, node.orelse)]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            inner = [_assertions(node.body, depth + 1)]
        case _:
            inner = []
    return sum(each[0] for each in inner), sum(each[1] for each in inner)


def _forgets(handler: ast.ExceptHandler) -> bool:
    """A failed assertion is caught, and nothing is done about it."""
    caught = "" if handler.type is None else ast.unparse(handler.type)
    catches = not caught or any(name in caught for name in ("AssertionError", "BaseException")) or caught == "Exception"
    return catches and all(isinstance(each, _PASSING) or _is_words(each) for each in handler.body)


def _is_words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and (
        isinstance(node.value, ast.Constant) or _name(node.value).startswith(("print", "log"))
    )


def _of_call(node: ast.expr) -> tuple[int, int]:
    if not isinstance(node, ast.Call):
        return 0, 0
    name = _name(node.func).rpartition(".")[2]
    if name in ("raises", "assertRaises", "warns"):
        broad = bool(node.args) and _name(node.args[0]) in ("Exception", "BaseException")
        return (0, 1) if broad and not node.keywords else (1, 0)
    if name in ("assertTrue", "assertFalse") and node.args:
        worth = _worth(node.args[0], 0)
        return (0, worth[0] + worth[1]) if not isinstance(node.args[0], ast.Compare) else worth
    if name == "assertEqual" and len(node.args) >= 2 and ast.dump(node.args[0]) == ast.dump(node.args[1]):
        return 0, 0
    if name in _WEAK_METHODS:
        return 0, 1
    return (1, 0) if _ASSERTING.match(name) or name == "fail" else (0, 0)


def _worth(test: ast.expr, depth: int) -> tuple[int, int]:  # noqa: PLR0911 - one answer a form
    """An assertion that can hardly be wrong is worth little, one that cannot, nothing."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values) if depth < _DEEP:
            parts = [_worth(value, depth + 1) for value in values]
            return sum(part[0] for part in parts), sum(part[1] for part in parts)
        case ast.BoolOp(op=ast.Or(), values=values) if depth < _DEEP:
            parts = [_worth(value, depth + 1) for value in values]
            return (0, 0) if (0, 0) in parts else max(parts) if all(part[0] for part in parts) else (0, 1)
        case ast.Constant() | ast.Tuple() | ast.List() | ast.Dict() | ast.JoinedStr() | ast.Lambda():
            return 0, 0
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return (0, 0) if isinstance(operand, ast.Constant) else (1, 0)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _of_comparison(left, op, right)
        case ast.Call(func=func) if _name(func) in ("isinstance", "callable", "hasattr", "bool"):
            return 0, 1
        case ast.Name() | ast.Attribute():
            return 0, 1
    return 1, 0


def _of_comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> tuple[int, int]:
    if ast.dump(left) == ast.dump(right) or (isinstance(left, ast.Constant) and isinstance(right, ast.Constant)):
        return 0, 0
    if isinstance(op, ast.IsNot | ast.NotEq) or (
        isinstance(op, ast.GtE) and isinstance(right, ast.Constant) and right.value == 0
    ):
        return 0, 1
    if isinstance(left, ast.Tuple | ast.List) and isinstance(right, ast.Tuple | ast.List):
        return max(1, len(left.elts)), 0
    return 1, 0


def _name(node: ast.AST) -> str:
    """`pytest.mark.skip`, of that and of a call of it; empty for what is no name."""
    parts: list[str] = []
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
        node = node.func if isinstance(node, ast.Call) else node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ".".join(reversed(parts))
