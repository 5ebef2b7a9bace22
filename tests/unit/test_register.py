"""The register of names: what several programs do to it at once, and files of other versions."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings as within
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chatterbox_cached.errors import VoiceLibraryError, VoiceNameError
from chatterbox_cached.named import schema
from chatterbox_cached.named.names import folded
from chatterbox_cached.named.record import NamedVoice
from chatterbox_cached.named.register import Register


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "voices", tmp_path / "voices" / "audio")


def _other(register: Register) -> Register:
    """The same file as another program sees it."""
    return Register(register.file.parent, register.file.parent / "audio")


def _voice(name: str, *aliases: str, digest: str = "a" * 64) -> NamedVoice:
    return NamedVoice(name, digest, aliases=aliases)


def test_a_register_that_is_not_there_has_no_names_and_is_not_made_by_a_look(register: Register) -> None:
    assert register.names().voices == ()
    assert not register.file.parent.exists()


def test_what_is_known_of_a_voice_comes_back(register: Register) -> None:
    audio = register.file.parent / "audio" / "x.wav"
    voice = NamedVoice(
        "Anna", "b" * 64, aliases=("A.", "Die Erzählerin"), description="warm", consent="by letter", seconds=12.5,
        source="/clips/anna.wav", audio=audio, added=1.5,
    )  # fmt: skip
    register.add(voice)
    assert _other(register).find("anna") == replace(voice, aliases=("A.", "Die Erzählerin"))
    assert _other(register).find("DIE ERZÄHLERIN") == register.find("anna")


def test_a_recording_may_be_at_a_path_that_is_no_text(register: Register) -> None:
    voice = replace(_voice("Anna"), source="/clips/caf\udce9.wav")
    register.add(voice)
    assert register.find("anna") == voice


def test_a_name_stays_as_it_was_written_whatever_its_aliases(register: Register) -> None:
    register.add(_voice("Anna", "anna", "ANNA", "A."))
    assert register.names().voices == (_voice("Anna", "A."),)
    assert register.change("anna", aliases=["aNNa", "b"]).names == ("Anna", "b")


def test_another_program_s_edit_is_seen_at_the_next_look(register: Register) -> None:
    register.add(_voice("Anna"))
    reader = _other(register)
    assert reader.find("anna") is not None
    for number in range(20):  # also within one tick of the file system's clock
        register.add(_voice(f"voice {number}"))
        assert reader.find(f"voice {number}") is not None
        register.remove(f"voice {number}")
        assert reader.find(f"voice {number}") is None


def test_names_are_read_once_while_nothing_changes(register: Register) -> None:
    register.add(_voice("Anna"))
    reader = _other(register)
    looks = []
    read = reader._read
    reader._read = lambda: looks.append(1) or read()  # type: ignore[method-assign, func-returns-value]
    deadline = time.monotonic() + 20
    while reader._seen[0] is None and time.monotonic() < deadline:
        reader.names()
        time.sleep(0.2)  # until the last change is longer ago than a file system's clock is coarse
        looks.clear()
    for _ in range(5):
        assert reader.find("anna") is not None
    assert len(looks) == 0


@pytest.mark.parametrize(("name", "aliases"), [("ANNA", ()), ("Ben", ("anna",)), ("a.", ()), ("Ben", ("A.",))])
def test_a_taken_name_is_refused_and_nothing_is_changed(
    name: str, aliases: tuple[str, ...], register: Register
) -> None:
    register.add(_voice("Anna", "A."))
    before = register.names()
    with pytest.raises(VoiceNameError, match="There is a voice called"):
        register.add(_voice(name, *aliases, digest="c" * 64))
    assert register.names().voices == before.voices


def test_replacing_keeps_the_default_and_gives_what_was_there(register: Register) -> None:
    register.add(_voice("Anna", "A."))
    register.choose("a.")
    gone = register.add(_voice("anna", digest="c" * 64), replace=True)
    assert (gone and gone.name, gone and gone.digest) == ("Anna", "a" * 64)
    (now,) = register.names().voices
    assert (now.name, now.digest, now.is_default, now.aliases) == ("anna", "c" * 64, True, ())


def test_renaming_to_an_alias_of_its_own_makes_it_the_name(register: Register) -> None:
    register.add(_voice("Anna", "A.", "Annie"))
    assert register.rename("anna", "ANNIE").names == ("ANNIE", "A.")
    assert register.find("anna") is None


def test_one_voice_is_the_default(register: Register) -> None:
    register.add(_voice("Anna"))
    register.add(_voice("Ben"))
    for name in ("Anna", "Ben", None):
        register.choose(name)
        assert [voice.name for voice in register.names().voices if voice.is_default] == ([name] if name else [])
    with pytest.raises(KeyError):
        register.choose("Carl")


def _add_many(file: Path, who: int) -> None:
    register = Register(file.parent, file.parent / "audio")
    for number in range(25):
        register.add(_voice(f"voice {who}-{number}", digest=f"{who:032}{number:032}"))
        if number % 5 == 4:
            register.remove(f"voice {who}-{number}")


def test_edits_of_several_processes_and_threads_at_once_lose_nothing(register: Register) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add_many, args=(register.file, who)) for who in range(3)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda who: _add_many(register.file, who), range(3, 6)))
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    expected = {f"voice {who}-{number}" for who in range(6) for number in range(25) if number % 5 != 4}
    assert {voice.name for voice in _other(register).names().voices} == expected


def test_an_edit_that_fails_in_the_middle_is_taken_back(register: Register) -> None:
    register.add(_voice("Anna"))
    with pytest.raises(VoiceNameError):
        register.add(_voice("New", "fine", "anna"))
    assert [voice.names for voice in register.names().voices] == [("Anna",)]


def test_a_file_without_tables_gets_them(register: Register) -> None:
    register.file.parent.mkdir()
    register.file.parent.chmod(0o700)
    with closing(sqlite3.connect(register.file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
    assert register.names().voices == ()
    register.add(_voice("Anna"))
    with closing(sqlite3.connect(register.file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_a_file_of_an_older_version_is_brought_to_this_one(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    register.add(_voice("Anna"))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE voices ADD COLUMN mood TEXT"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    newer = _other(register)
    assert newer.find("anna") is not None
    with closing(sqlite3.connect(register.file)) as database:
        assert database.execute("SELECT mood FROM voices").fetchall() == [(None,)]


def test_a_file_of_a_newer_version_is_left_alone_and_said(register: Register) -> None:
    register.add(_voice("Anna"))
    with closing(sqlite3.connect(register.file)) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = register.file.read_bytes()
    for use in (lambda: _other(register).names(), lambda: _other(register).add(_voice("Ben"))):
        with pytest.raises(VoiceLibraryError, match="newer version"):
            use()
    assert register.file.read_bytes() == before


def test_a_file_that_is_none_of_ours_is_left_alone_and_said(register: Register) -> None:
    register.file.parent.mkdir(mode=0o700)
    register.file.write_bytes(b"these are no names" * 1000)
    register.file.chmod(0o600)
    for use in (register.names, lambda: register.add(_voice("Ben"))):
        with pytest.raises(VoiceLibraryError, match=r"can't be used .*CHATTERBOX_CACHED_VOICES_DIR"):
            use()
    assert register.file.read_bytes().startswith(b"these are no names")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes say nothing here")
def test_a_folder_that_others_can_write_to_is_not_believed(register: Register) -> None:
    register.add(_voice("Anna"))
    register.file.parent.chmod(0o777)
    with pytest.raises(VoiceLibraryError, match="writable by other users"):
        _other(register).names()
    trusted = Register(register.file.parent, register.file.parent / "audio", trusted=True)
    assert trusted.find("anna") is not None


def test_names_are_for_their_user_alone(register: Register) -> None:
    register.add(_voice("Anna"))
    assert register.file.stat().st_mode & 0o077 == 0
    assert register.file.parent.stat().st_mode & 0o077 == 0


_NAMES = st.sampled_from(["Anna", "ANNA", "Ben", "Bén", "carl", "Carl X", "d"])


class Edits(RuleBasedStateMachine):
    """Whatever is done to it, no two voices share a name, and each has the names that it was given."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory(prefix="register-")
        self.register = Register(Path(self.folder.name, "voices"), Path(self.folder.name, "audio"))
        self.model: dict[str, tuple[str, ...]] = {}  # the first name, folded, to all of them, folded

    def _taken(self, but: str | None = None) -> set[str]:
        return {name for first, names in self.model.items() if first != but for name in names}

    def _first(self, name: str) -> str | None:
        return next((first for first, names in self.model.items() if folded(name) in names), None)

    @rule(name=_NAMES, aliases=st.lists(_NAMES, max_size=2))
    def add(self, name: str, aliases: list[str]) -> None:
        names = tuple(dict.fromkeys(map(folded, (name, *aliases))))
        if self._taken() & set(names):
            with pytest.raises(VoiceNameError):
                self.register.add(_voice(name, *aliases))
        else:
            self.register.add(_voice(name, *aliases))
            self.model[names[0]] = names

    @rule(old=_NAMES, new=_NAMES)
    def rename(self, old: str, new: str) -> None:
        first = self._first(old)
        if first is None:
            with pytest.raises(KeyError):
                self.register.rename(old, new)
        elif folded(new) in self._taken(but=first):
            with pytest.raises(VoiceNameError):
                self.register.rename(old, new)
        else:
            self.register.rename(old, new)
            aliases = [name for name in self.model.pop(first)[1:] if name != folded(new)]
            self.model[folded(new)] = (folded(new), *aliases)

    @rule(name=_NAMES)
    def remove(self, name: str) -> None:
        first = self._first(name)
        if first is None:
            with pytest.raises(KeyError):
                self.register.remove(name)
        else:
            self.register.remove(name)
            del self.model[first]

    @invariant()
    def is_as_expected(self) -> None:
        found = _other(self.register).names().voices
        assert {folded(each.name): set(map(folded, each.names)) for each in found} == {
            first: set(names) for first, names in self.model.items()
        }

    def teardown(self) -> None:
        self.folder.cleanup()


TestEdits = Edits.TestCase
TestEdits.settings = within(max_examples=25, stateful_step_count=15, deadline=None)
