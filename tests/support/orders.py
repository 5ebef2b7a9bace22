"""Run as a program: every order of import, enable, disable and other people's patches, each in a process of its own.

Importing Chatterbox takes ten seconds, nearly all of it for what Chatterbox imports. So that is loaded once, Chatterbox
itself is forgotten again, and each order is a fork that imports it anew. Prints as JSON what went wrong with each.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import multiprocessing
import sys
import tempfile
import threading
import traceback
from typing import Any

import wrapt

import chatterbox_cached

METHODS = ("prepare_conditionals", "generate")
# What is done, in order; then what must hold: "on" or "off", and how often another patch must have been passed.
ORDERS: dict[str, tuple[str, str, int]] = {
    "import, enable": ("import enable", "on", 0),
    "enable, import": ("enable import", "on", 0),
    "import, enable, disable": ("import enable disable", "original", 0),
    "enable, import, disable": ("enable import disable", "original", 0),
    "enable, disable, import": ("enable disable import", "original", 0),
    "enable, disable, import, enable": ("enable disable import enable", "on", 0),
    "enable, disable, enable, import": ("enable disable enable import", "on", 0),
    "import, enable, disable, enable": ("import enable disable enable", "on", 0),
    "import, enable twice": ("import enable enable", "on", 0),
    "enable twice, import": ("enable enable import", "on", 0),
    "enable, import, enable": ("enable import enable", "on", 0),
    "enable with other settings": ("import enable enable_elsewhere", "on", 0),
    "enable twice, disable once": ("import enable enable_elsewhere disable", "original", 0),
    "disable without enable": ("import disable", "original", 0),
    "model made before enable": ("import model enable", "on", 0),
    "model made before disable": ("enable import model disable", "original", 0),
    "wrapt patch below": ("import wrapt enable", "on", 1),
    "wrapt patch below, disable": ("import wrapt enable disable", "off", 1),
    "wrapt patch above": ("import enable wrapt", "on", 1),
    "wrapt patch above, disable": ("import enable wrapt disable", "off", 1),
    "wrapt patch above, disable, enable": ("import enable wrapt disable enable", "on", 1),
    "function above": ("import enable function", "on", 1),
    "function above, disable": ("import enable function disable", "off", 1),
    "function above, disable, enable": ("import enable function disable enable", "on", 1),
    "function below": ("import function enable", "on", 1),
    "function below, disable": ("import function enable disable", "off", 1),
    "function that hides ours above, enable": ("import enable hiding enable", "on", 1),
    "subclass": ("import subclass enable", "on", 0),
    "subclass, disable": ("enable import subclass disable", "original", 0),
    "enabled() around it all": ("enter import", "on", 0),
    "enabled() left": ("import enter leave", "original", 0),
    "enabled() within enable()": ("import enable enter leave", "on", 0),
    "enable while a thread imports": ("import_in_thread enable join", "on", 0),
}


class Order:
    """The steps, by name, and what is found after them."""

    def __init__(self, signatures: dict[str, inspect.Signature]) -> None:
        self.signatures = dict(signatures)
        self.passed = 0
        self.model: Any = None
        self.block: Any = None
        self.made: Any = None

    def do(self, step: str) -> None:
        getattr(self, f"do_{step}")()

    def check(self, state: str, passed: int) -> None:
        owner = self.owner()
        model = self.model or self.new_model()
        cache = chatterbox_cached.get_cache()
        assert (cache is not None) == (state == "on") == chatterbox_cached.is_enabled()
        # Which nobody else patches, and which comes with the package.
        for method in ("set_target_voice", "generate"):
            found = vars(sys.modules["chatterbox.vc"].ChatterboxVC)[method]
            assert (type(found) is type(Order.check)) == (state != "on"), f"{method} of ChatterboxVC"
        for method in METHODS:
            assert inspect.signature(getattr(owner, method)) == self.signatures[method]
            assert getattr(owner, method).__doc__ == vars(owner)[method].__doc__
            assert isinstance(getattr(model, method), type(self.check))
            if state == "original":
                assert type(vars(owner)[method]) is type(Order.check), "not upstream's own function"
        try:
            model.prepare_conditionals("/no/such/voice.wav", exaggeration=0.3)
        except FileNotFoundError:
            pass
        else:
            raise AssertionError("upstream's own error was lost")
        assert self.passed == passed, f"the other patch was passed {self.passed} times"
        if cache is not None:
            assert cache.get_cache_stats()["bypasses"] == {"audio can't be read": 1}, cache.get_cache_stats()

    def owner(self) -> Any:
        return importlib.import_module("chatterbox.tts").ChatterboxTTS

    def new_model(self) -> Any:
        model = (self.made or self.owner()).__new__(self.made or self.owner())
        model.device = "cpu"
        return model

    def do_import(self) -> None:
        self.owner()

    def do_import_in_thread(self) -> None:
        self.block = threading.Thread(target=self.owner)
        self.block.start()
        while "chatterbox.tts" not in sys.modules:
            pass

    def do_join(self) -> None:
        self.block.join()

    def do_enable(self) -> None:
        chatterbox_cached.enable()

    def do_enable_elsewhere(self) -> None:
        chatterbox_cached.enable(tempfile.mkdtemp())

    def do_disable(self) -> None:
        chatterbox_cached.disable()

    def do_model(self) -> None:
        self.model = self.new_model()

    def do_subclass(self) -> None:
        owner = self.owner()

        class Subclass(owner):
            def prepare_conditionals(self, *args: Any, **kwargs: Any) -> Any:
                return super().prepare_conditionals(*args, **kwargs)

        self.made = Subclass

    def do_enter(self) -> None:
        self.block = chatterbox_cached.enabled(tempfile.mkdtemp())
        self.block.__enter__()

    def do_leave(self) -> None:
        self.block.__exit__(None, None, None)

    def do_wrapt(self) -> None:
        wrapt.wrap_function_wrapper(self.owner(), "prepare_conditionals", self.pass_on)

    def pass_on(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        self.passed += 1
        return wrapped(*args, **kwargs)

    def do_function(self) -> None:
        owner = self.owner()
        below = owner.prepare_conditionals

        @functools.wraps(below)
        def above(model: Any, *args: Any, **kwargs: Any) -> Any:
            self.passed += 1
            return below(model, *args, **kwargs)

        owner.prepare_conditionals = above

    def do_hiding(self) -> None:
        self.do_function()
        del self.owner().prepare_conditionals.__wrapped__
        self.signatures["prepare_conditionals"] = inspect.signature(self.owner().prepare_conditionals)


def run(name: str, signatures: dict[str, inspect.Signature], answer: Any) -> None:
    steps, state, passed = ORDERS[name]
    try:
        order = Order(signatures)
        for step in steps.split():
            order.do(step)
        order.check(state, passed)
        answer.send("")
    except BaseException:
        answer.send(traceback.format_exc())


def main() -> None:
    owner = Order({}).owner()
    signatures = {method: inspect.signature(getattr(owner, method)) for method in METHODS}
    for name in [name for name in sys.modules if name.partition(".")[0] == "chatterbox"]:
        del sys.modules[name]
    fork = multiprocessing.get_context("fork")
    wrong = {}
    for name in ORDERS:
        ours, theirs = fork.Pipe()
        process = fork.Process(target=run, args=(name, signatures, theirs))
        process.start()
        wrong[name] = ours.recv() if ours.poll(120) else "no answer in two minutes"
        process.join(10)
    print(json.dumps(wrong))


if __name__ == "__main__":
    main()
