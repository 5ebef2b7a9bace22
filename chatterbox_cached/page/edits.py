"""What is changed by way of the page: voices added, named otherwise, forgotten, and carried from and to files."""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool

from ..errors import ChatterboxCachedError, NotCachedError, Unidentifiable, VoiceNameError
from ..figures import counted
from ..identity.audio import AudioIndex
from ..library import exchange, warming
from ..library.exchange_names import Kept, Newcomers, for_bundle
from ..library.named_voices import Voices
from ..named.names import checked
from ..voice import bundle
from ..voice.bundle_names import is_suffix
from ..voice.key_format import voice_prefix
from .rows import Row
from .shelf import Shelf
from .speaker import Speaker

BUNDLE, CONDITIONALS = ".cbv", ".pt"


class Upload(NamedTuple):
    """A file that was sent: what its sender calls it, and what is in it."""

    name: str
    content: bytes

    @property
    def suffix(self) -> str:
        """What its name ends with, in lower case; empty where that is no plain suffix."""
        suffix = Path(self.name.replace("\\", "/")).suffix.lower()
        return suffix if is_suffix(suffix) else ""

    @property
    def stem(self) -> str:
        """Its name without folders and without a suffix."""
        return Path(self.name.replace("\\", "/")).stem


class Said(NamedTuple):
    """What is said of a voice that is added."""

    description: str = ""
    consent: str = ""
    keep_audio: bool = False


class Edits:
    """Of one library. All of it raises ChatterboxCachedError or OSError, with nothing done, where it can't be done."""

    def __init__(self, shelf: Shelf, speaker: Speaker) -> None:
        self._shelf, self._speaker = shelf, speaker

    @property
    def _voices(self) -> Voices:
        return self._shelf.named

    @property
    def must_keep_audio(self) -> bool:
        """Whether a recording that is added must stay, since nothing could be prepared of it any other time."""
        return not self._speaker.is_there or not self._shelf.settings.stores

    async def add(self, upload: Upload, name: str, said: Said) -> str:
        """Take in a file: a bundle with all its voices, or a voice of its own. Says what became of it.

        The voice in a recording is prepared first, where there is a model for it.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{'voice' if upload.suffix else 'file'}{upload.suffix}")
            await run_in_threadpool(file.write_bytes, upload.content)
            if upload.suffix == BUNDLE:
                return await run_in_threadpool(self._take_in, file)
            wanted = checked(name or upload.stem)
            if wanted in self._voices:
                raise VoiceNameError(f"There is a voice called {self._voices[wanted].name!r}. Give another name.")
            if upload.suffix == CONDITIONALS:
                await run_in_threadpool(self._name, wanted, file, said._replace(keep_audio=False))
                return f"{wanted} was added."
            return await self._add_recording(upload, file, wanted, said)

    async def _add_recording(self, upload: Upload, file: Path, name: str, said: Said) -> str:
        if self._speaker.is_there:
            job = self._speaker.do(lambda model: warming.warm(self._shelf.cache, model, file, at_once=True))
            outcome = await asyncio.wrap_future(job)
            if outcome.became == warming.FAILED:
                raise ChatterboxCachedError(f"{upload.name} was not added: {outcome.why}.")
        # Not the file, which is gone in a moment: a library would look for the recording there.
        audio: Any = io.BytesIO(upload.content)
        audio.name = file.name
        keep = said.keep_audio or self.must_keep_audio
        await run_in_threadpool(self._name, name, audio, said._replace(keep_audio=keep))
        how = f"prepared for {self._speaker.name}" if self._speaker.is_there else "to be prepared at its first use"
        return f"{name} was added, {how}{', with its recording' if keep else ''}."

    def _name(self, name: str, audio: Any, said: Said) -> None:
        self._voices.add(name, audio, **said._asdict())

    def _take_in(self, file: Path) -> str:
        settings = self._shelf.settings
        tier, newcomers = exchange.open_to_write(settings), Newcomers(self._voices.library)
        try:
            taken = exchange.take_in(file, tier, settings, newcomers)
        finally:
            tier.close()
        newcomers.keep_prepared()
        entries = counted(taken.new, "entry is", "entries are")
        named = f", and names of {', '.join(newcomers.names)}" if newcomers.names else ""
        voices = counted(len({voice.audio for voice in taken.voices}), "voice", "voices")
        return f"The bundle has what was prepared of {voices}, of which {entries} new here{named}."

    def rename(self, row: Row, name: str) -> str:
        """Give a voice a name, or another one; gives the name."""
        if row.named is not None:
            return self._voices.rename(row.named.name, name).name
        path = row.known.path if row.known else None
        if path is None or not _is_still(path, row.digest):
            raise NotCachedError("Its recording is not where it was last seen. Add it here, and it is a hit.")
        return self._voices.add(name, path).name

    def describe(self, row: Row, description: str, consent: str, aliases: Sequence[str]) -> None:
        self._voices.describe(row.name, description, consent, aliases)

    def choose(self, row: Row) -> None:
        """Make a voice the default, or none where it was."""
        self._voices.choose(None if row.is_default else row.name)

    def forget(self, row: Row, entirely: bool) -> None:
        """Take a voice's name away or, ``entirely``, all that is kept of its recording, under whatever name."""
        if not entirely and row.named is not None:
            self._voices.remove(row.named.name)
            return
        with self._shelf.opened() as folder:
            if row.cached is not None:
                folder.remove([row.cached])
        self._voices.library.forget(frozenset({row.digest}))
        if self._speaker.model is not None:
            self._shelf.cache.serving.store.memory.delete_voice(voice_prefix(row.digest))

    def export(self, rows: Sequence[Row], with_audio: bool) -> Path:
        """Write a bundle of all that is kept of voices, in a folder of its own, which the caller removes."""
        digests = {row.digest for row in rows}
        folder = Path(tempfile.mkdtemp())
        try:
            with self._shelf.opened() as cached:
                kept = Kept(cached, self._voices.library)
                everything = kept.keys()
                keys = [key for key in everything if key.split("/")[1] in digests]
                names = for_bundle(self._voices.library, kept.named(digests), with_audio=with_audio)
                if not keys and not any(names.values()):
                    raise NotCachedError("Nothing is kept that could be exported.")
                keyring, file = self._shelf.settings.keyring, folder / f"voices{BUNDLE}"
                bundle.write(file, keys, lambda key: exchange.read_entry(kept, key, keyring), names)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return file


def _is_still(path: str, digest: str) -> bool:
    """Whether the recording with this digest is at ``path``."""
    try:
        return AudioIndex().identify(path).digest == digest
    except Unidentifiable:
        return False
