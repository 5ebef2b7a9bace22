"""The voices that have names, as their users see them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from ..cache import ConditionalCache
from ..errors import VoiceNameError
from ..named import asked
from ..named.library import Library
from ..named.models import models_of
from ..named.names import PREFIX, checked, folded
from ..named.record import CONDITIONALS, NamedVoice
from . import adding


class Voices(Mapping[str, NamedVoice]):
    """The voices that have names, by name or alias, whatever the case; what other programs do to them is seen.

    ``cache`` gives the one whose settings say where they are, and which prepares them. Any of it raises
    VoiceLibraryError where the library can't be used, and what names a voice raises UnknownVoiceError where there is
    none. With stores that machines share, what names a voice asks them too; all others are those of this machine.
    """

    def __init__(self, cache: Callable[[], ConditionalCache]) -> None:
        self._cache = cache
        self._opened: Library | None = None

    @property
    def library(self) -> Library:
        """What keeps them; for this package, not for its users."""
        settings = self._cache().settings
        if self._opened is None or self._opened.settings != settings:
            self._opened = Library(settings)
        return self._opened

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self.library.places.root

    def __getitem__(self, name: str) -> NamedVoice:
        self._look(name)
        return self.library.find(name)

    def __iter__(self) -> Iterator[str]:
        return iter([voice.name for voice in self.library.names().voices])

    def __len__(self) -> int:
        return len(self.library.names().voices)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        self._look(name)
        return folded(name) in self.library.names().by_name

    def add(
        self,
        name: str,
        audio: Any,
        *,
        aliases: Sequence[str] = (),
        description: str = "",
        consent: str = "",
        keep_audio: bool = False,
        model: Any = None,
        replace: bool = False,
    ) -> NamedVoice:
        """Give the voice in a recording a name, under which any program can speak: ``"voice:NAME"`` for its path.

        ``audio``: a path or a binary file object, or a ``.pt`` file of upstream's conditionals. What is prepared of it
        already is kept for good; ``model`` prepares it now, for its kind of model. ``keep_audio`` keeps the recording
        too, from which any other model then prepares the voice by itself; without it, that is done from where the
        recording is now, while it is there. ``consent``: who allowed what, in your words. ``replace``: in the place of
        the voice that has this name. Nothing is written where anything is wrong.
        Raises VoiceNameError for a bad or taken name, ChatterboxCachedError for what is no audio, OSError.
        """
        library = self.library
        names = [checked(each) for each in (name, *aliases)]
        self._look(*names)
        self._refuse_taken(names, replace)
        found = adding.looked_at(
            names[0], audio, aliases=tuple(names[1:]), description=description, consent=consent, added=time.time()
        )
        kept = adding.keep_files(library, found, audio, keep_audio=keep_audio)
        voice = changed(found, audio=kept, namespace=library.namespace)
        try:
            gone = library.register.add(voice, replace=replace)
        except BaseException:
            library.drop_files((voice,))
            raise
        if gone is not None:
            library.drop_files((gone,))
        if voice.kind != CONDITIONALS:
            adding.keep_prepared(library, voice)
        if model is not None:
            self.prepare(voice.name, model)
        self._publish(voice)
        return self[voice.name]

    def add_all(self, paths: Sequence[Path]) -> tuple[list[str], list[str]]:
        """Give the voices in these files their files' names, once all have been looked at; those already there stay.

        Gives the names that are new, and those of voices that were there just so. Raises as ``add``.
        """
        files = _by_name(paths)
        found = [adding.looked_at(checked(name), file) for name, file in files.items()]
        here = {voice.name for voice in self.library.names().voices if (voice.name, voice.digest) in
                {(each.name, each.digest) for each in found}}  # fmt: skip
        new = {name: file for name, file in files.items() if checked(name) not in here}
        self._refuse_taken([checked(name) for name in new], replace=False)
        return [self.add(name, file).name for name, file in new.items()], sorted(here)

    def prepare(self, name: str, model: Any) -> None:
        """Prepare a voice with ``model``, whose own voice is afterwards what it was before, and keep that for good.

        Raises whatever upstream raises for its recording.
        """
        self._cache().serving.by_hand.prepare(model, PREFIX + self[name].name)

    def rename(self, old: str, new: str) -> NamedVoice:
        """Give a voice another name; its aliases stay. Raises VoiceNameError for a bad or taken one."""
        known = self[old]
        self._look(new)
        return self._publish(self.library.register.rename(known.name, new))

    def describe(
        self,
        name: str,
        description: str | None = None,
        consent: str | None = None,
        aliases: Sequence[str] | None = None,
    ) -> NamedVoice:
        """Change what is said of a voice; what is None stays. Raises VoiceNameError for a bad or taken alias."""
        said = {"description": description, "consent": consent, "aliases": aliases}
        known = self[name]
        self._look(*(aliases or ()))
        return self._publish(
            self.library.register.change(
                known.name, **{what: value for what, value in said.items() if value is not None}
            )
        )

    def remove(self, name: str) -> NamedVoice:
        """Take a voice out of the library, with its recording there; the cache keeps what it has of it."""
        gone = self.library.register.remove(self[name].name)
        self.library.drop_files((gone,))
        return self._publish(gone)

    @property
    def default(self) -> str | None:
        """The name that ``"voice:default"`` stands for."""
        return next((voice.name for voice in self.library.names().voices if voice.is_default), None)

    def choose(self, name: str | None) -> None:
        """Make a voice the default, or with None have none."""
        self.library.register.choose(None if name is None else self[name].name)

    def models(self, name: str) -> tuple[str, ...]:
        """The models that a voice is good for without its recording, each in a phrase."""
        return models_of(self.library, self[name])

    def write_file(self, name: str, file: str | os.PathLike[str] | None = None) -> Path:
        """Write a small file that stands for a voice where a program wants a path that is there; NAME.voice if None."""
        voice = self[name]
        path = Path(f"{voice.name}{asked.SUFFIX}" if file is None else file)
        if not path.name.lower().endswith(asked.SUFFIX):
            raise VoiceNameError(f"{path} must end in {asked.SUFFIX}, or no program would take it for a voice.")
        asked.write(path, voice.name)
        return path

    def __repr__(self) -> str:
        return f"<voices with names: {', '.join(map(repr, self)) or 'none'}>"

    def _look(self, *names: str) -> None:
        """Have here what other machines say of these names, where they share any."""
        if self.library.settings.shared:
            for name in names:
                self._cache().serving.naming.shared.look(name)

    def _publish(self, edited: NamedVoice) -> NamedVoice:
        """Have other machines told of what was done to a voice, where they share any."""
        if self.library.settings.shared:
            self._cache().serving.naming.shared.publish(edited)
        return edited

    def _refuse_taken(self, names: Sequence[str], replace: bool) -> None:
        known = self.library.names().by_name
        own = known.get(folded(names[0])) if replace else None
        for name in names:
            if (taken := known.get(folded(name))) is not None and taken != own:
                raise VoiceNameError(
                    f"There is a voice called {taken.name!r}. Give another name, or replace it: --replace, in Python"
                    " replace=True."
                )


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Raises VoiceNameError where two have one name."""
    found = dict[str, Path]()
    for path in paths:
        other = found.setdefault(folded(checked(path.stem)), path)
        if other is not path:
            raise VoiceNameError(f"{other.name} and {path.name} would have one name. Rename one of them.")
    return {path.stem: path for path in paths}
