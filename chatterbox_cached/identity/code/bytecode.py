"""What a function refers to, read from its bytecode: nothing is run, and no source is needed.

The interpreter's stack is followed from instruction to instruction, with a symbol for each value. An instruction that
is not known here leaves None on top, so a new version of Python makes results coarser, not wrong: an
attribute of what has no symbol is looked for everywhere.
"""

from __future__ import annotations

import dis
from types import CodeType

from .instructions import JUMPS, effect, instructions, target
from .machine import Machine
from .symbols import Attr, Symbol, Uses

_NO_WAY_ON = ("RETURN_", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
_YIELDS = 0x20 | 0x80 | 0x100 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR
# These take values off the stack, or none, and leave what is below as it is.
_LEAVES_TOP = (
    "POP_", "STORE_", "DELETE_", "JUMP_", "RETURN_", "RAISE_", "RERAISE", "NOP", "RESUME", "MAKE_CELL",
    "COPY_FREE_VARS", "GEN_START", "LIST_APPEND", "SET_ADD", "SET_UPDATE", "MAP_ADD", "DICT_UPDATE", "DICT_MERGE",
    "SETUP_", "END_FOR", "NOT_TAKEN", "CHECK_EXC_MATCH", "PRINT_EXPR",
)  # fmt: skip


def uses_of(code: CodeType) -> Uses:
    """What ``code`` refers to and does."""
    reader = _Reader(code, "", frozenset())
    reader.read()
    return reader.uses()


class _Reader(Machine):
    """Follows the ways through one code object."""

    def uses(self) -> Uses:
        inner = {read.base for read in self.reads if isinstance(read, Attr)}
        return Uses(
            frozenset(self.reads - inner), frozenset(self.calls),
            {name: frozenset(symbols) for name, symbols in self.assigned.items()},
            frozenset(self.texts), frozenset(self.returned),
            frozenset(self.attributes_set), frozenset(self.items_set), frozenset(self.globals_set),
            bool(self._code.co_flags & _YIELDS), self.order,
        )  # fmt: skip

    def read(self) -> None:
        arriving, way_on = dict[int, list[Symbol]](), True
        for offset, number, argument in instructions(self._code):
            if not way_on:
                self._stack = arriving.get(offset, [])  # none is known for an exception's handler
            elif offset in arriving:
                self._stack = _merged(self._stack, arriving[offset])
            name = dis.opname[number]
            act = getattr(self, f"_{name.lower()}", None)
            if number in JUMPS:
                leads_to, stack = target(offset, number, argument, name), self._after(number, argument, jump=True)
                arriving[leads_to] = _merged(arriving[leads_to], stack) if leads_to in arriving else stack
            if act is not None:
                act(argument)
            else:
                self._any(number, argument, name)
            way_on = not name.startswith(_NO_WAY_ON)
        self._read_within()

    def _after(self, number: int, argument: int, *, jump: bool) -> list[Symbol]:
        """The stack after an instruction that takes from its top, or puts there what has no symbol."""
        depth = max(0, len(self._stack) + effect(number, argument, jump=jump))
        return [*self._stack[:depth], *[None] * (depth - len(self._stack))]

    def _read_within(self) -> None:
        """Functions within this one: lambdas, comprehensions, decorated helpers."""
        shared = frozenset(self._code.co_cellvars) | self._outer
        for number, constant in enumerate(self._code.co_consts):
            if isinstance(constant, CodeType):
                reader = _Reader(constant, f"{self._prefix}<{number}>", shared, self._prefix)
                reader.read()
                for name in ("reads", "calls", "texts", "attributes_set", "items_set", "globals_set"):
                    getattr(self, name).update(getattr(reader, name))
                for variable, symbols in reader.assigned.items():
                    self.assigned[variable] |= symbols

    def _any(self, number: int, argument: int, name: str) -> None:
        """An instruction of which only the effect on the stack's depth is known."""
        before, self._stack = len(self._stack), self._after(number, argument, jump=False)
        if not name.startswith(_LEAVES_TOP) and self._stack and before:
            self._stack[min(before, len(self._stack)) - 1] = None


def _merged(one: list[Symbol], other: list[Symbol]) -> list[Symbol]:
    """The stack where two ways meet: a value that may be one thing or another has no symbol."""
    return [left if left == right else None for left, right in zip(one, other, strict=False)]
