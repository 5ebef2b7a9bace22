"""What each instruction does to the interpreter's stack, with a symbol in the place of each value.

One method per instruction, named after it. What it uses is noted.
"""

from __future__ import annotations

import sys

from .instructions import NEW
from .stack import Stack
from .symbols import Call, Called, Const, Global, Import, Items, Setting, Star, SuperAttr, Symbol, Within

_NULL = Const(sys)  # stands for what the interpreter pushes beside a callable
_LIST_TO_TUPLE = 6  # the number of this intrinsic function


class Machine(Stack):
    """Runs through instructions of which more is known than how many values they take and leave."""

    # Names

    def _load_global(self, argument: int) -> None:
        named = Global(self._code.co_names[argument >> 1 if NEW >= (3, 11) else argument])
        if NEW < (3, 11) or not argument & 1:
            self._push(named)
        else:
            self._push(*((named, _NULL) if NEW >= (3, 13) else (_NULL, named)))

    def _load_name(self, argument: int) -> None:
        self._push(Global(self._code.co_names[argument]))

    def _load_fast(self, argument: int) -> None:
        if argument < len(self._code.co_varnames):
            self._push(self._variable(self._code.co_varnames[argument]))
        else:  # from 3.13 on, for the closure of a function within
            self._stack.append(None)

    _load_fast_check = _load_fast_and_clear = _load_fast_borrow = _load_fast

    def _load_fast_load_fast(self, argument: int) -> None:
        self._load_fast(argument >> 4)
        self._load_fast(argument & 15)

    _load_fast_borrow_load_fast_borrow = _load_fast_load_fast

    def _store_fast(self, argument: int) -> None:
        self._assign(self._code.co_varnames[argument], self._pop())

    def _store_fast_load_fast(self, argument: int) -> None:
        self._store_fast(argument >> 4)
        self._load_fast(argument & 15)

    def _store_fast_store_fast(self, argument: int) -> None:
        self._store_fast(argument >> 4)
        self._store_fast(argument & 15)

    def _load_deref(self, argument: int) -> None:
        self._push(self._variable(self._cells[argument]))

    def _load_closure(self, argument: int) -> None:
        self._stack.append(None)

    _load_classderef = _load_deref

    def _load_from_dict_or_deref(self, argument: int) -> None:
        self._pop()
        self._load_deref(argument)

    def _store_deref(self, argument: int) -> None:
        self._assign(self._cells[argument], self._pop())

    def _store_global(self, argument: int) -> None:
        self._pop()
        self.globals_set.add(self._code.co_names[argument])

    def _delete_global(self, argument: int) -> None:
        self.globals_set.add(self._code.co_names[argument])

    def _load_const(self, argument: int) -> None:
        value = self._code.co_consts[argument]
        if isinstance(value, str):
            self.texts.add(value)
        elif isinstance(value, tuple):
            self.texts.update(each for each in value if isinstance(each, str))
        self._push(Const(value))

    def _load_assertion_error(self, argument: int) -> None:
        self._push(Global("AssertionError"))

    def _load_common_constant(self, argument: int) -> None:
        names = ("AssertionError", "NotImplementedError", "tuple", "all", "any")
        self._push(Global(names[argument]) if argument < len(names) else None)

    def _load_small_int(self, argument: int) -> None:
        self._push(Const(argument))

    # Attributes, items, imports

    def _load_attr(self, argument: int) -> None:
        if NEW < (3, 12):
            self._push(self._attribute(self._pop(), self._code.co_names[argument]))
        elif argument & 1:
            self._load_method(argument >> 1)
        else:
            self._push(self._attribute(self._pop(), self._code.co_names[argument >> 1]))

    def _load_method(self, argument: int) -> None:
        owner = self._pop()
        self._push(self._attribute(owner, self._code.co_names[argument]))
        self._stack.append(owner)

    def _load_super_attr(self, argument: int) -> None:
        self._pop(3)
        self._push(SuperAttr(self._code.co_names[argument >> 2]))
        if argument & 1:
            self._stack.append(None)

    def _store_attr(self, argument: int) -> None:
        self._delete_attr(argument)
        self._pop()

    def _delete_attr(self, argument: int) -> None:
        base, name = self._pop(), self._code.co_names[argument]
        self.attributes_set.add((base, name))
        self._note(Setting(base, name))

    def _store_subscr(self, argument: int) -> None:
        self.items_set.add(self._pop(2))
        self._pop()

    def _delete_subscr(self, argument: int) -> None:
        self.items_set.add(self._pop(2))

    def _store_slice(self, argument: int) -> None:
        self.items_set.add(self._pop(3))
        self._pop()

    def _import_name(self, argument: int) -> None:
        level = self._stack[-2] if len(self._stack) > 1 else None
        self._pop(2)
        counted = level.value if isinstance(level, Const) and isinstance(level.value, int) else 0
        self._push(Import(self._code.co_names[argument], counted))

    def _import_from(self, argument: int) -> None:
        module = self._stack[-1] if self._stack else None
        self._push(self._attribute(module, self._code.co_names[argument]))

    # Calls

    def _called(self, width: int, given: tuple[Symbol, ...], names: tuple[str, ...] = ()) -> None:
        """A call whose callable, with what goes beside it and its arguments, is the ``width`` values on top."""
        beside = self._stack[-width + 1] if width > 1 and len(self._stack) >= width else None
        lowest = self._pop(width)
        function = beside if lowest is _NULL else lowest
        self.calls.add(Called(function, given, names))
        self._note(Called(function, given, names))
        self._push(None if function is None or isinstance(function, (Const, Items)) else Call(function))

    def _kw_names(self, argument: int) -> None:  # for the call that comes next
        self._names = self._code.co_consts[argument]

    def _call(self, argument: int) -> None:
        self._called(argument + 2, self._top(argument), self._names)
        self._names = ()

    def _call_kw(self, argument: int) -> None:
        self._called(argument + 3, self._top(argument, 1), self._names_on_top())

    def _call_function(self, argument: int) -> None:
        self._called(argument + 1, self._top(argument))

    def _call_function_kw(self, argument: int) -> None:
        self._called(argument + 2, self._top(argument, 1), self._names_on_top())

    def _call_method(self, argument: int) -> None:
        self._called(argument + 2, self._top(argument))

    def _call_function_ex(self, argument: int) -> None:
        keywords = 1 if NEW >= (3, 14) else argument & 1
        (given,) = self._top(1, keywords) or (None,)
        listed = given.items if isinstance(given, Items) else (Star(given),)
        self._called(2 + keywords + (NEW >= (3, 11)), (*listed, Star(None)) if keywords else listed)

    def _build_list(self, argument: int) -> None:
        items = self._top(argument)
        self._pop(argument)
        self._push(Items(items))

    _build_tuple = _build_list

    def _list_extend(self, argument: int) -> None:
        more = self._pop()
        if self._stack and isinstance(listed := self._stack[-argument], Items):
            self._stack[-argument] = Items((*listed.items, Star(more)))

    def _build_map(self, argument: int) -> None:
        self._pop(2 * argument)
        self._stack.append(None)

    def _call_intrinsic_1(self, argument: int) -> None:
        if argument != _LIST_TO_TUPLE:
            self._pop()
            self._stack.append(None)

    def _make_function(self, argument: int) -> None:
        beside = bin(argument & 15).count("1") if NEW < (3, 13) else 0  # its defaults and the like
        self._pop(beside + (2 if NEW < (3, 11) else 1))
        self._stack.append(Within())

    def _set_function_attribute(self, argument: int) -> None:
        function = self._pop()
        self._pop()
        self._stack.append(function)

    def _precall(self, argument: int) -> None:
        pass  # the call itself comes next

    _list_to_tuple = _precall  # of the same items

    def _before_with(self, argument: int) -> None:
        manager = self._pop()
        self._push(self._attribute(manager, "__exit__"))
        entered = self._attribute(manager, "__enter__")
        self.calls.add(Called(entered))
        self._note(Called(entered))
        self._push(None if entered is None else Call(entered))

    _setup_with = _before_with

    def _load_special(self, argument: int) -> None:  # the methods of a context manager
        manager = self._pop()
        name = ("__enter__", "__exit__", "__aenter__", "__aexit__")[argument]
        self._push(self._attribute(manager, name))
        self._stack.append(manager)

    def _push_null(self, argument: int) -> None:
        self._stack.append(_NULL)

    def _copy(self, argument: int) -> None:
        self._stack.append(self._stack[-argument] if argument <= len(self._stack) else None)

    def _swap(self, argument: int) -> None:
        if argument <= len(self._stack):
            self._stack[-1], self._stack[-argument] = self._stack[-argument], self._stack[-1]

    def _dup_top(self, argument: int) -> None:
        self._copy(1)

    def _dup_top_two(self, argument: int) -> None:
        self._copy(2)
        self._copy(2)

    def _rot_n(self, argument: int) -> None:
        if argument <= len(self._stack):
            self._stack.insert(len(self._stack) - argument, self._stack.pop())

    def _rot_two(self, argument: int) -> None:
        self._rot_n(2)

    def _rot_three(self, argument: int) -> None:
        self._rot_n(3)

    def _rot_four(self, argument: int) -> None:
        self._rot_n(4)

    def _return_value(self, argument: int) -> None:
        self.returned.add(self._pop())

    def _return_const(self, argument: int) -> None:
        self.returned.add(Const(self._code.co_consts[argument]))
