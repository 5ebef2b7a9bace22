"""The instructions of a function's bytecode: which there are, what each does to the stack, and where each jumps."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from types import CodeType

NEW = sys.version_info
JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_HAS_ARGUMENT: Callable[[int], bool] = (
    frozenset(dis.hasarg).__contains__ if hasattr(dis, "hasarg") else lambda number: number >= dis.HAVE_ARGUMENT
)
_LOADS = frozenset({"LOAD_CONST", "RETURN_CONST", "KW_NAMES", "LOAD_CONST_IMMORTAL", "LOAD_CONST_MORTAL"})


def constants_used(code: CodeType) -> frozenset[int]:
    """The numbers of the constants that ``code`` loads; a docstring is among its constants, and not loaded."""
    return frozenset(argument for _, number, argument in instructions(code) if dis.opname[number] in _LOADS)


def instructions(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Offset, number and argument of each instruction; the offset is where a jump to it leads."""
    raw, extended, start = code.co_code, 0, -1
    for offset in range(0, len(raw), 2):
        number, argument = raw[offset], raw[offset + 1] | extended
        if NEW >= (3, 11) and number == 0:
            continue  # room for the interpreter's own use
        start = offset if start < 0 else start
        if dis.opname[number] == "EXTENDED_ARG":
            extended = argument << 8
            continue
        yield start, number, argument
        extended, start = 0, -1


def effect(number: int, argument: int, *, jump: bool) -> int:
    try:
        return dis.stack_effect(number, argument if _HAS_ARGUMENT(number) else None, jump=jump)
    except ValueError:
        return 0


def target(offset: int, number: int, argument: int, name: str) -> int:
    """Where a jump leads."""
    if number in dis.hasjabs:
        return argument * (2 if NEW >= (3, 10) else 1)
    following = offset + 2 + 2 * _room(number)
    return following - 2 * argument if "BACKWARD" in name else following + 2 * argument


def _room(number: int) -> int:
    """How many units the interpreter keeps free after an instruction for its own use."""
    if NEW < (3, 11):
        return 0
    entries = getattr(dis, "_inline_cache_entries", None)
    if isinstance(entries, dict):
        return int(entries.get(dis.opname[number], 0))
    return int(entries[number]) if entries is not None else 0
