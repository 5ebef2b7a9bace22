"""What a preparation gives its caller."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from .explorer import Explorer, Visit
from .symbols import Attr, Call, Called, Const, Local, Setting, Symbol
from .values import Live, function_of, wrapped_in

NOTHING, CONDITIONALS = "nothing", "conditionals"
_DEEPEST = 8


class Preparing:
    """The functions that a preparation on ``model``, which keeps its conditionals in ``slot``, is made of."""

    def __init__(self, explorer: Explorer, model: Any, slot: str) -> None:
        self.model, self.slot = model, slot
        self._visits: dict[int, list[Visit]] = {}
        for visit in explorer.visits.values():
            self._visits.setdefault(id(visit.function), []).append(visit)

    def visits_of(self, function: Any) -> list[Visit]:
        """The visits of a function, or of what a wrapper is around; none for what was not followed."""
        while type(function) is not FunctionType or id(function) not in self._visits:
            found = wrapped_in(function)
            if found is None:
                return []
            function = found[0]
        return self._visits[id(function)]

    def is_model(self, visit: Visit, symbol: Symbol) -> bool:
        """Whether a symbol is the function's first argument, and that the model."""
        owner, first = visit.owner, visit.function.__code__.co_varnames[:1]
        return (
            isinstance(symbol, Local)
            and (symbol.name,) == first
            and symbol.name not in visit.uses.assigned
            and isinstance(owner, Live)
            and owner.thing is self.model
        )

    def is_slot(self, visit: Visit, symbol: Symbol) -> bool:
        """Whether a symbol is the model's conditionals."""
        return isinstance(symbol, Attr) and symbol.name == self.slot and self.is_model(visit, symbol.base)

    def reads_what_was_there(self, root: Any) -> bool:
        """Whether the conditionals that the model had before may decide those that it has then."""
        return any(self._reads_first(visit, 0) for visit in self.visits_of(root))

    def _reads_first(self, visit: Visit, depth: int) -> bool:
        """Whether the conditionals are read before they are set, as far as the order in the code says it."""
        setting: list[int] = [
            place
            for used, place in visit.uses.order.items()
            if (isinstance(used, Setting) and self.is_slot(visit, Attr(used.base, used.name)))
            or (isinstance(used, Called) and self._sets(visit, used, depth))
        ]
        first = min(setting, default=len(visit.uses.order))
        reading = [
            place for used, place in visit.uses.order.items() if isinstance(used, Attr) and self.is_slot(visit, used)
        ]
        return min(reading, default=first) < first

    def _sets(self, visit: Visit, call: Called, depth: int) -> bool:
        """Whether a call sets the conditionals before it reads them."""
        called = [inner for value in visit.resolve(call.function) for inner in self.visits_of(function_of(value))]
        return depth < _DEEPEST and any(
            any(self.is_slot(inner, Attr(base, name)) for base, name in inner.uses.attributes_set)
            or any(self._sets(inner, each, depth + 1) for each in inner.uses.calls)
            for inner in called
        )

    def gives(self, root: Any) -> str | None:
        """NOTHING, CONDITIONALS, or None where that can't be told."""
        return self._given_by(self.visits_of(root), 0)

    def _given_by(self, visits: list[Visit], depth: int) -> str | None:
        if not visits or depth > _DEEPEST or any(visit.uses.yields for visit in visits):
            return None
        kinds = {self._kind_of(visit, symbol, depth) for visit in visits for symbol in visit.uses.returned}
        return kinds.pop() if len(kinds) == 1 else None

    def _kind_of(self, visit: Visit, symbol: Symbol, depth: int) -> str | None:
        if symbol == Const(None):
            return NOTHING
        if self.is_slot(visit, symbol):
            return CONDITIONALS
        if isinstance(symbol, Call):
            called = [self.visits_of(function_of(value)) for value in visit.resolve(symbol.function)]
            kinds = {self._given_by(visits, depth + 1) for visits in called}
            return kinds.pop() if len(kinds) == 1 else None
        if isinstance(symbol, Local) and symbol.name in visit.uses.assigned:
            kinds = {self._kind_of(visit, each, depth + 1) for each in visit.uses.assigned[symbol.name]}
            return kinds.pop() if len(kinds) == 1 and depth < _DEEPEST else None
        return None
