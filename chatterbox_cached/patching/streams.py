"""What generates piece by piece: the model's turn is its from the first piece to the last, and its voice stays its own.

For a generator, a coroutine or an asynchronous generator that a fork's ``generate`` gives. Nothing of ours is left in
the consumer's context between two pieces.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from functools import partial
from types import FrameType
from typing import Any

from ..concurrency.turns import Reservation, turn
from ..notices import without_us
from ..upstream import slots
from ..upstream.context import doing
from ..upstream.families import Family
from ..upstream.run import is_to_come

_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def begins_later(function: Any) -> bool:
    """Whether a call of this function runs nothing of it yet."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and bool(code.co_flags & _LATER)


class Stream:
    """One generation on ``model`` that may go on after its call. ``in_turn``: whether it waits for others, and they
    for it.
    """

    def __init__(self, model: Any, family: Family, *, in_turn: bool) -> None:
        self._model, self._family, self._in_turn = model, family, in_turn
        self._turn, self._reservation, self._kept = turn(model), Reservation(), None

    @contextlib.contextmanager
    def call(self, consumer: Callable[[], FrameType]) -> Iterator[list[Any]]:
        """The call itself, in its turn; what it gives belongs into the list, since that may go on later."""
        with self._running():
            if self._in_turn:
                self._turn.let_finish()
            given: list[Any] = []
            yield given
            if given and is_to_come(given[0]):
                self._kept = slots.held(self._model, self._family)
                if self._in_turn:
                    self._reservation.keep(self._turn, consumer())

    @contextlib.contextmanager
    def step(self, consumer: FrameType | None) -> Iterator[None]:
        """One step, which ``consumer`` asks for. What raises was the last."""
        self._turn = turn(self._model)  # a forked child has others
        with self._running():
            if self._in_turn:
                self._turn.let_finish(self._reservation)
            try:
                with self._own_voice():
                    yield
            except BaseException:
                self._reservation.finish()
                raise
            if self._in_turn and not self._reservation.finished:
                self._reservation.keep(self._turn, consumer)

    def finish(self) -> None:
        """That was the last step."""
        self._reservation.finish()

    def close(self, pieces: Any) -> None:
        """End it early; in its turn if that can be had at once, since Python may do this anywhere, when it is gone."""
        at_once = self._turn.lock.acquire(blocking=False)
        try:
            with contextlib.nullcontext() if at_once else self._turn.run_out_of_turn(), doing("generate", self._model):
                pieces.close()
        finally:
            self._reservation.finish()
            if at_once:
                self._turn.lock.release()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        with self._turn.lock if self._in_turn else self._turn.run_out_of_turn(), doing("generate", self._model):
            yield

    @contextlib.contextmanager
    def _own_voice(self) -> Iterator[None]:
        """With the conditionals that it left, and the model left with those that it had, once others have come by."""
        model, family, theirs = self._model, self._family, slots.held(self._model, self._family)
        apart = self._reservation.passed_by
        if apart:
            slots.hold(model, family, self._kept)
        try:
            yield
        finally:
            self._kept = slots.held(model, family)
            if apart:
                slots.hold(model, family, theirs)


def streamed(given: Any, stream: Stream) -> Any:
    """What a generation has ``given``: where it goes on later, the same with each of its steps taken by ``stream``."""
    if isinstance(given, types.GeneratorType):
        made: Any = _pieces(given, stream)
    elif isinstance(given, types.CoroutineType):
        made = _awaited(given, stream)
    elif isinstance(given, types.AsyncGeneratorType):
        made = _async_pieces(given, stream)
    else:
        return given
    made.__name__, made.__qualname__ = given.__name__, given.__qualname__
    return made


def _pieces(pieces: Any, stream: Stream, *, ends: bool = True) -> Generator[Any, Any, Any]:
    """As ``yield from pieces``. ``ends``: whether the stream is finished with them."""
    go_on: Callable[[], Any] = partial(pieces.send, None)
    while True:
        try:
            with stream.step(sys._getframe(1)):
                try:
                    piece = go_on()
                except StopIteration as end:
                    if ends:
                        stream.finish()
                    return end.value
        except BaseException as error:
            raise error.with_traceback(without_us(error.__traceback__))  # noqa: B904 - it is the same error
        try:
            sent = yield piece
        except GeneratorExit:
            stream.close(pieces)
            raise
        except BaseException as error:
            go_on = partial(pieces.throw, error)
        else:
            go_on = partial(pieces.send, sent)


@types.coroutine
def _stepwise(steps: Awaitable[Any], stream: Stream, *, ends: bool) -> Generator[Any, Any, Any]:
    return (yield from _pieces(steps, stream, ends=ends))


async def _awaited(coroutine: Any, stream: Stream) -> Any:
    return await _stepwise(coroutine, stream, ends=True)


async def _async_pieces(pieces: Any, stream: Stream) -> AsyncGenerator[Any, Any]:
    following = pieces.asend(None)
    while True:
        try:
            piece = await _stepwise(following, stream, ends=False)
        except StopAsyncIteration:
            return
        try:
            sent = yield piece
        except GeneratorExit:
            await _stepwise(pieces.aclose(), stream, ends=True)
            raise
        except BaseException as error:
            following = pieces.athrow(error)
        else:
            following = pieces.asend(sent)
