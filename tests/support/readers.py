"""The ways in which a cache folder is looked at, beside hits. Each gives what it says, and leaves entries alone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatterbox_cached import ConditionalCache
from chatterbox_cached.cli.app import app
from chatterbox_cached.errors import EntryError
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.voice.signing import NO_KEYS

DIGEST = "ab" * 32  # of the audio of which everything was planted
PREFIX = f"v3/{DIGEST}/"


def store_of(folder: Path) -> VoiceStore:
    return VoiceStore(resolve({"cache_dir": folder}), lambda *_: None)


def _each(read: Callable[[VoiceStore, str], object]) -> Callable[[Path], str]:
    def or_why_not(store: VoiceStore, key: str) -> str:
        try:
            return str(read(store, key))
        except EntryError as error:
            return str(error)

    def read_all(folder: Path) -> str:
        store = store_of(folder)
        with contextlib.closing(store.lower):
            return "\n".join(or_why_not(store, stored.key) for stored in store.listing())

    return read_all


def verb(*arguments: str) -> Callable[[Path], str]:
    """A verb of the command line; ``OUT`` among its arguments becomes a file beside the folder."""

    def run(folder: Path) -> str:
        said = io.StringIO()
        given = [argument.replace("OUT", str(folder) + "-out") for argument in arguments]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            app([*given, "--cache-dir", str(folder)], standalone_mode=False)
        return said.getvalue()

    return run


def _kept(store: VoiceStore, key: str) -> Any:
    assert store._disk is not None
    return exchange.read_entry(store._disk, key, NO_KEYS).header


LOOKS: dict[str, Callable[[Path], str]] = {
    "check(fix=False)": lambda folder: str(ConditionalCache(folder).check(fix=False)),
    "header()": _each(lambda store, key: store.header(key)),
    "what goes into a bundle": _each(_kept),
    **{
        " ".join(arguments): verb(*arguments)
        for arguments in (
            ("ls",),
            ("ls", "--json"),
            ("show", DIGEST),
            ("show", DIGEST, "--json"),
            ("stats",),
            ("check", "--look"),
            ("export", "--all", "-o", "OUT.cbv"),
            ("export", "--all", "-o", "OUT.pt"),
        )
    },
}
