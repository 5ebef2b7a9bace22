"""The counts of several processes, written as they go, and their sum."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from chatterbox_cached.accounting.tally import Report, Tally


def test_counts_are_summed_over_all_that_wrote(tmp_path: Path) -> None:
    one, other = Tally(str(tmp_path)), Tally(str(tmp_path))
    one.add({("hits", "memory"): 1, ("saved_seconds", ""): 1.5})
    one.add({("hits", "memory"): 1, ("saved_seconds", ""): 1.25})
    other.add({("hits", "disk"): 1, ("saved_seconds", ""): 1.0})
    other.add({("seams", "encoders"): 1, ("misses", ""): 1})
    other.add({("prepare_seconds", ""): 2.0})
    other.add({("bypasses", "autocast is on"): 1})
    other.add({("mismatches", ""): 1})
    other.add({("errors", "disk put"): 1})
    Tally(str(tmp_path))  # a process that counted nothing
    Tally(str(tmp_path)).add({("classes", "chatterbox.tts.ChatterboxTTS"): 1})  # and one that only imported Chatterbox
    other.add({("encoder_classes", "src.models.s3gen.S3Gen"): 1})
    report = Report(str(tmp_path))
    assert report.figures() == {
        "processes": 2,
        "hits": {"disk": 1, "memory": 2},
        "seams": {"encoders": 1},
        "classes": {"chatterbox.tts.ChatterboxTTS": 1},
        "encoder_classes": {"src.models.s3gen.S3Gen": 1},
        "bypasses": {"autocast is on": 1},
        "not_stored": {},
        "errors": {"disk put": 1},
        "shared_dropped": {},
        "misses": 1,
        "mismatches": 1,
        "prepare_seconds": 2.0,
        "saved_seconds": 3.75,
    }
    assert str(report) == (
        "chatterbox-cached: voices asked for: 5, in processes: 2, 3.8 s saved\n"
        "  hits            3  disk: 1, memory: 2; by calls of the encoders: 1\n"
        "  misses          1  prepared in 2.0 s\n"
        "  bypasses        1  autocast is on: 1\n"
        "  errors          1  disk put: 1\n"
        "  mismatches      1  of exaggeration\n"
        "  found           1  chatterbox.tts.ChatterboxTTS: voices as a whole\n"
        "  found           1  src.models.s3gen.S3Gen: calls of the encoders"
    )


def test_nothing_is_said_of_what_was_not_asked_for(tmp_path: Path) -> None:
    assert str(Report(str(tmp_path))) == "chatterbox-cached: no voice was asked for."
    for name in ("src.chatterbox.tts.ChatterboxTTS", "chatterbox.tts_turbo.ChatterboxTurboTTS"):
        Tally(str(tmp_path)).add({("classes", name): 1})
    assert str(Report(str(tmp_path))) == (
        "chatterbox-cached: no voice was asked for of chatterbox.tts_turbo.ChatterboxTurboTTS,"
        " src.chatterbox.tts.ChatterboxTTS."
    )


def test_a_forked_child_counts_from_zero(tmp_path: Path) -> None:
    tally = Tally(str(tmp_path))
    tally.add({("misses", ""): 1})
    if not (child := os.fork()):
        tally.add({("misses", ""): 2})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    tally.add({("misses", ""): 4})
    figures = Report(str(tmp_path)).figures()
    assert (figures["processes"], figures["misses"]) == (2, 7)


def test_counting_goes_on_where_the_folder_is_gone(tmp_path: Path) -> None:
    tally = Tally(str(tmp_path / "folder"))
    tally.add({("misses", ""): 1})
    (tmp_path / "folder").mkdir()
    tally.add({("misses", ""): 1})
    assert Report(str(tmp_path / "folder")).figures()["misses"] == 2
    shutil.rmtree(tmp_path / "folder")
    tally.add({("misses", ""): 1})
    assert not (tmp_path / "folder").exists()
