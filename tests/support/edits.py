"""Edits of functions as a programmer makes them: a number, a text, an operator or a whole statement is another one."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_OTHER_OPERATOR: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult, ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.USub: ast.UAdd, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
Edit = Callable[[], None]


@lru_cache(maxsize=64)
def _source(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


def functions_of(modules: list[ModuleType]) -> list[FunctionType]:
    """The functions and methods that stand in these modules by their own names, without their decorators."""
    found: dict[CodeType, FunctionType] = {}
    for module in modules:
        for thing in list(vars(module).values()):
            for each in (thing, *(vars(thing).values() if isinstance(thing, type) else ())):
                plain = inspect.unwrap(getattr(each, "__func__", getattr(each, "fget", None) or each))
                if type(plain) is FunctionType and plain.__code__.co_filename == module.__file__:
                    found[plain.__code__] = plain
    return list(found.values())


def edits_of(function: FunctionType) -> list[tuple[int, str]]:
    """Where ``function`` can be edited: the place among its nodes, and how."""
    tree = _definition(function, ast.parse(_source(function.__code__.co_filename)))
    return [(place, kind) for place, (node, *_) in enumerate(_nodes(tree)) for kind in _kinds(node)]


def edited(function: FunctionType, place: int, kind: str) -> CodeType:
    """The code of ``function`` after this edit of its file."""
    file = function.__code__.co_filename
    tree = ast.parse(_source(file))
    node, parent, field, index = list(_nodes(_definition(function, tree)))[place]
    _edit(kind, node, parent, field, index)
    return _code_in(compile(tree, file, "exec"), function.__code__)


def _definition(function: FunctionType, tree: ast.Module) -> ast.FunctionDef:
    code = function.__code__
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    raise LookupError(code)


def _nodes(definition: ast.FunctionDef) -> Iterator[tuple[ast.AST, ast.AST, str, int]]:
    """Each node in the body, its parent, and where it is in that."""
    todo: list[tuple[ast.AST, ast.AST, str, int]] = [
        (each, definition, "body", number) for number, each in enumerate(definition.body)
    ]
    while todo:
        found = todo.pop(0)
        yield found
        for field, value in ast.iter_fields(found[0]):
            children = value if isinstance(value, list) else [value]
            todo += [
                (each, found[0], field, number) for number, each in enumerate(children) if isinstance(each, ast.AST)
            ]


def _kinds(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        yield "another number"
    if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.BoolOp)) and type(node.op) in _OTHER_OPERATOR:
        yield "another operator"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER_OPERATOR:
        yield "another comparison"
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr, ast.Assert, ast.Raise, ast.If, ast.For)):
        yield "a statement less"
    if isinstance(node, ast.Return) and node.value is not None:
        yield "nothing returned"
    if isinstance(node, ast.Attribute):
        yield "another attribute"


def _edit(kind: str, node: Any, parent: Any, field: str, index: int) -> None:
    if kind == "another number":
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif kind == "another operator":
        node.op = _OTHER_OPERATOR[type(node.op)]()
    elif kind == "another comparison":
        node.ops[0] = _OTHER_OPERATOR[type(node.ops[0])]()
    elif kind == "nothing returned":
        node.value = None
    elif kind == "another attribute":
        node.attr = f"{node.attr}_2"
    else:
        getattr(parent, field)[index] = ast.copy_location(ast.Pass(), node)


def _code_in(code: CodeType, like: CodeType) -> CodeType:
    """The code in ``code`` that stands where ``like`` stood."""
    todo = [code]
    while todo:
        here = todo.pop()
        if (here.co_name, here.co_firstlineno) == (like.co_name, like.co_firstlineno):
            return here
        todo += [each for each in here.co_consts if isinstance(each, CodeType)]
    raise LookupError(like)


def code_that_runs(work: Callable[[], object], package: str) -> set[CodeType]:
    """The code of ``package`` that runs while ``work`` does."""
    ran = set[CodeType]()

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").partition(".")[0] == package:
            ran.add(frame.f_code)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return ran
