"""What the page shows, and how it begins and ends, without a browser."""

from __future__ import annotations

import html
import io
import signal
import struct
import subprocess
import time
import wave
import zlib
from pathlib import Path

import pytest
import soundfile

from chatterbox_cached.demo.rehearsal import reference_clip
from chatterbox_cached.upstream import pt_file
from tests.support import filled_folders
from tests.support.commands import COMMAND
from tests.support.served import Served
from tests.support.shelves import HOSTILE, MANY, Open, Shelf
from tests.support.small_voices import snapshot

SECONDS_TO_OPEN = 2.0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return reference_clip(tmp_path / "narrator.wav", seconds=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_on_a_signal_in_good_order(open_page: Open, number: int) -> None:
    served = open_page()
    served.process.send_signal(number)
    assert served.process.wait(timeout=10) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_it_ends_while_a_model_is_loaded(
    open_page: Open, hub_environment: dict[str, str], number: int, seconds: float
) -> None:
    served = open_page("--model", "english", "--device", "cpu", **hub_environment)
    time.sleep(seconds)
    served.process.send_signal(number)
    assert served.process.wait(timeout=60) == 0


def test_a_port_that_is_taken_is_said_in_one_line(open_page: Open) -> None:
    port = str(open_page().port)
    done = subprocess.run([COMMAND, "page", "--no-browser", "--port", port], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"127.0.0.1:{port} can't be listened at" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_5000_voices_are_there_in_time(many_served: Served) -> None:
    for path in ("/", "/?q=anna&sort=-saved", "/?q=&sort=name&page=100", "/savings"):
        began = time.monotonic()
        answer = many_served.ask(path)
        assert time.monotonic() - began < SECONDS_TO_OPEN
        assert answer.status == 200
        assert len(answer.body) < 100_000


def _shown(answer_text: str) -> list[str]:
    return [part.partition("</a>")[0].partition(">")[2] for part in answer_text.split('<td class="name">')[1:]]


def test_voices_are_searched_sorted_and_shown_in_parts(many_served: Served) -> None:
    first = many_served.ask("/?sort=name").text
    assert f"{MANY:,} voices" in first
    assert len(_shown(first)) == 50
    assert _shown(first) == sorted(_shown(first))
    assert _shown(many_served.ask("/?sort=-name").text)[0].startswith("erzähler")
    assert _shown(many_served.ask("/?q=ERZ%C3%84HLER+0&sort=name").text)[0].startswith("erzähler 0")
    last = _shown(many_served.ask("/?sort=name&page=100").text)
    assert _shown(many_served.ask("/?sort=name&page=999999999").text) == last
    for page in ("-1", "x", "0", "9" * 40, "%00"):
        assert _shown(many_served.ask(f"/?sort=name&page={page}").text)
    assert many_served.ask("/?sort=__class__").status == 200
    assert "None of 5,000 voices" in many_served.ask("/?q=nobody").text


def test_a_name_is_a_text_and_no_markup(open_page: Open, shelf: Shelf, clip: Path) -> None:
    shelf.voices.add(HOSTILE.replace("/", ""), clip, description=HOSTILE, consent='"><script>', aliases=["'\"&amp;"])
    (digest,) = shelf.cached("<b>bold.wav")
    served = open_page("--edit")
    path = "/named/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"
    for address in ("/", path, f"{path}/forget", f"/cached/{digest}", "/savings", f"/?q={path}"):
        answer = served.ask(address)
        assert answer.status == 200
        assert not [mark for mark in ("<img src=x", "<b>bold", "<script>") if mark in answer.text]
    assert html.escape("<b>bold.wav") in served.ask("/").text


def test_a_picture_is_of_the_voice_and_kept_nowhere(open_page: Open, shelf: Shelf) -> None:
    one, other = shelf.cached("anna.wav", "ben.wav")
    served = open_page()
    pictures = [served.ask(f"/picture/{digest}") for digest in (one, other)]
    assert pictures[0].body != pictures[1].body
    for each in pictures:
        assert each.headers["Cache-Control"] == "no-store"
        width, height, depth, kind = struct.unpack(">IIBB", each.body[16:26])
        assert (width, height, depth, kind) == (192, 40, 8, 3)
        assert len(zlib.decompress(_chunk(each.body, b"IDAT"))) == (width + 1) * height
    assert served.ask(f"/picture/{'0' * 64}").headers["Content-Type"].startswith("image/svg+xml")


def _chunk(png: bytes, name: bytes) -> bytes:
    at = png.index(name)
    return png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at], "big")]


EDITS = ("rename", "describe", "default", "forget")


def test_a_read_only_page_refuses_every_change(open_page: Open, shelf: Shelf, clip: Path) -> None:
    shelf.voices.add("narrator", clip, keep_audio=True)
    (digest,) = shelf.cached("anna.wav")
    served, before = open_page(), _files(shelf)
    paths = [f"{of}/{edit}" for of in ("/named/narrator", f"/cached/{digest}") for edit in EDITS]
    for path in paths:
        assert served.send(path, name="other", description="x", entirely="on").status == 403
    assert served.upload({"new.wav": clip.read_bytes()}).status == 403
    assert served.ask("/export").status == 403
    assert _files(shelf) == before
    for path in ("/", "/named/narrator", f"/cached/{digest}"):
        assert 'method="post"' not in served.ask(path).text


def _files(shelf: Shelf) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in shelf.voices_dir.rglob("*") if file.is_file()}


def test_a_kept_recording_can_be_heard_and_no_other_file(open_page: Open, shelf: Shelf, clip: Path) -> None:
    shelf.voices.add("kept", clip, keep_audio=True)
    shelf.voices.add("not kept", reference_clip(clip.with_name("other.wav"), seconds=1, seed=1))
    served = open_page()
    answer = served.ask("/named/kept/audio")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "audio/x-wav", clip.read_bytes())
    assert served.ask("/named/not%20kept/audio").status == 404
    assert served.ask("/named/kept/audio", Range="bytes=0-3").body == b"RIFF"


def test_voices_are_named_described_chosen_and_forgotten(open_page: Open, shelf: Shelf, clip: Path) -> None:
    shelf.voices.add("narrator", clip, keep_audio=True)
    served = open_page("--edit")
    answer = served.send("/named/narrator/rename", name="Erzähler / in")
    assert (answer.status, "narrator" in shelf.voices) == (400, True)
    assert (
        served.send("/named/narrator/rename", name="Erzähler").headers["Location"]
        == "/named/Erz%C3%A4hler?done=renamed"
    )
    path = "/named/erz%C3%A4hler"
    assert served.send(f"{path}/describe", description="Calm.", consent="hers", aliases="a, b").status == 303
    voice = shelf.voices["Erzähler"]
    assert (voice.description, voice.consent, voice.aliases) == ("Calm.", "hers", ("a", "b"))
    served.send(f"{path}/default")
    assert shelf.voices.default == "Erzähler"
    served.send(f"{path}/default")
    assert shelf.voices.default is None
    assert served.ask(f"{path}/forget").status == 200
    assert "Erzähler" in shelf.voices
    assert served.send(f"{path}/forget").status == 303
    assert list(shelf.voices) == []
    assert served.ask(path).status == 404


def test_a_cached_voice_is_given_a_name_while_its_recording_is_there(open_page: Open, shelf: Shelf, clip: Path) -> None:
    samples, rate = soundfile.read(clip)
    recording = clip.with_name("ben.flac")
    soundfile.write(recording, samples, rate)
    content = recording.read_bytes()
    filled_folders.fill(shelf.cache_dir, content)
    filled_folders.name(shelf.cache_dir, content, str(recording))
    gone, replaced = shelf.cached("anna.wav", "other.wav")
    filled_folders.name(shelf.cache_dir, b"other.wav", str(clip))
    there, served = filled_folders.digest(content), open_page("--edit")
    for digest in (gone, replaced):
        assert "not where it was last seen" in served.send(f"/cached/{digest}/rename", name="anna").text
    assert served.send(f"/cached/{there}/rename", name="ben").headers["Location"] == "/named/ben?done=renamed"
    assert list(shelf.voices) == ["ben"]


def test_a_cached_voice_is_forgotten(open_page: Open, shelf: Shelf) -> None:
    (digest,) = shelf.cached("anna.wav")
    served = open_page("--edit")
    assert served.send(f"/cached/{digest}/forget").status == 303
    assert filled_folders.entries(shelf.cache_dir) == {}
    assert served.send(f"/cached/{digest}/forget").status == 404


def test_what_is_forgotten_entirely_has_no_name_and_no_entry(open_page: Open, shelf: Shelf, clip: Path) -> None:
    shelf.voices.add("narrator", clip, keep_audio=True)
    shelf.voices.add("the same", clip)
    served = open_page("--edit")
    assert served.send("/named/narrator/forget", entirely="on").status == 303
    assert list(shelf.voices) == []
    assert not list((shelf.voices_dir / "audio").iterdir())


def test_a_recording_is_added_under_its_name_and_kept_where_no_model_is(
    open_page: Open, shelf: Shelf, clip: Path
) -> None:
    served = open_page("--edit")
    answer = served.upload({"C:\\fakepath\\Erzähler.wav": clip.read_bytes(), "../../x y.wav": _wav(2)})
    assert answer.status == 200
    assert list(shelf.voices) == ["Erzähler", "x y"]
    audio = shelf.voices["Erzähler"].audio
    assert audio is not None
    assert audio.read_bytes() == clip.read_bytes()
    assert audio.parent == shelf.voices_dir / "audio"
    assert served.upload({"erzähler.wav": _wav(3)}).status == 400  # the name is taken
    assert served.upload({"a.wav": _wav(4)}, name="Named", consent="mine").status == 200
    assert shelf.voices["named"].consent == "mine"


def _wav(seconds: float) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(b"\1\0" * int(8000 * seconds))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.wav", b"no audio"), ("empty.wav", b""), ("noname", b"\0" * 100), ("voice.pt", b"\x80\2}q\0."),
        ("voices.cbv", b"PK\3\4 but no bundle"), ("x" * 65 + ".wav", _wav(1)), ("default.wav", _wav(1)),
    ],
)  # fmt: skip
def test_what_is_no_voice_is_refused_and_nothing_is_written(
    open_page: Open, shelf: Shelf, name: str, content: bytes
) -> None:
    answer = open_page("--edit").upload({name: content})
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert _files(shelf) == {}
    assert not shelf.cache_dir.exists()


def test_voices_are_carried_from_one_page_to_another(open_page: Open, shelf: Shelf, tmp_path: Path) -> None:
    one, other = shelf.cached("anna.wav", "ben.wav")
    served = open_page("--edit")
    bundle = served.ask(f"/export?digest={one}")
    assert bundle.headers["Content-Disposition"] == 'attachment; filename="voices.cbv"'
    everything = served.ask("/export")
    assert len(everything.body) > len(bundle.body)
    served.send(f"/cached/{one}/forget")
    served.send(f"/cached/{other}/forget")
    assert served.ask("/export").status == 404
    answer = served.upload({"voices.cbv": everything.body})
    assert "prepared of 2 voices, of which 2 entries are new here." in answer.text
    assert served.ask(f"/cached/{one}").status == 200
    assert served.ask(f"/cached/{other}").status == 200


def test_a_file_of_conditionals_is_added(open_page: Open, shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "voice.pt"
    pt_file.write(file, snapshot(), 0.5)
    served = open_page("--edit")
    assert served.upload({"old captain.pt": file.read_bytes()}).status == 200
    voice = shelf.voices["old captain"]
    assert voice.kind == "conditionals"
    assert served.ask(f"/picture/{voice.digest}").body.startswith(b"\x89PNG")
    assert "english" in served.ask("/named/old%20captain").text


def test_settings_and_tiers_say_what_is_in_force_and_no_secret(open_page: Open, shelf: Shelf) -> None:
    served = open_page(CHATTERBOX_CACHED_SIZE_LIMIT="5MB", CHATTERBOX_CACHED_SIGNING_KEY="a secret of 16 bytes")
    said = served.ask("/settings").text
    assert "5000000" in said
    assert "CHATTERBOX_CACHED_SIZE_LIMIT" in said
    assert "a secret" not in said
    assert str(shelf.cache_dir) in served.ask("/tiers").text
