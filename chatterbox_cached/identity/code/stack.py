"""The interpreter's stack, with a symbol in the place of each value, and what was used so far."""

from __future__ import annotations

from collections import defaultdict
from types import CodeType

from .instructions import NEW
from .symbols import Attr, Call, Called, Const, Free, Global, Items, Local, Star, SuperAttr, Symbol

_SUPER = Call(Global("super"))


class Stack:
    """The stack of ``code`` (see symbols.Uses for what is noted of it).

    ``prefix`` sets its variables apart, ``outer`` are variables of the function around it.
    """

    def __init__(self, code: CodeType, prefix: str, outer: frozenset[str], outer_prefix: str = "") -> None:
        self._code, self._prefix, self._outer, self._outer_prefix = code, prefix, outer, outer_prefix
        self._stack: list[Symbol] = []
        plain = [name for name in code.co_cellvars if name not in code.co_varnames or NEW < (3, 11)]
        self._cells = (*plain, *code.co_freevars) if NEW < (3, 11) else (*code.co_varnames, *plain, *code.co_freevars)
        self.reads, self.returned = set[Symbol](), set[Symbol]()
        self.calls: set[Called] = set()
        self._names: tuple[str, ...] = ()
        self.assigned: defaultdict[str, set[Symbol]] = defaultdict(set)
        self.texts, self.globals_set = set[str](), set[str]()
        self.attributes_set, self.items_set = set[tuple[Symbol, str]](), set[Symbol]()
        self.order: dict[object, int] = {}

    def _note(self, used: object) -> None:
        self.order.setdefault(used, len(self.order))

    def _push(self, *symbols: Symbol) -> None:
        self._stack.extend(symbols)
        for symbol in symbols:
            if symbol is not None and not isinstance(symbol, (Const, Items, Star)):
                self.reads.add(symbol)
                self._note(symbol)

    def _pop(self, count: int = 1) -> Symbol:
        """Take ``count`` values off the stack; gives the lowest of them."""
        lowest: Symbol = None
        for _ in range(count):
            lowest = self._stack.pop() if self._stack else None
        return lowest

    def _variable(self, name: str) -> Symbol:
        if name in self._code.co_freevars:
            return Local(f"{self._outer_prefix}{name}") if name in self._outer else Free(name)
        return Local(f"{self._prefix}{name}")

    def _assign(self, name: str, symbol: Symbol) -> None:
        variable = self._variable(name)
        if isinstance(variable, Free):
            self.globals_set.add(name)
        elif isinstance(variable, Local):
            self.assigned[variable.name].add(symbol)

    def _top(self, count: int, above: int = 0) -> tuple[Symbol, ...]:
        """That many values, the highest of them with ``above`` more on top of it."""
        end = len(self._stack) - above
        return tuple(self._stack[max(0, end - count) : end])

    def _names_on_top(self) -> tuple[str, ...]:
        top = self._stack[-1] if self._stack else None
        return top.value if isinstance(top, Const) and isinstance(top.value, tuple) else ()

    def _attribute(self, owner: Symbol, name: str) -> Symbol:
        if owner == _SUPER:
            return SuperAttr(name)
        return Attr(None if isinstance(owner, (Const, Items)) else owner, name)
