"""``chatterbox-cached report``: one file with what the cache saved, which runs, fetches and gives away nothing."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, Totals, VoiceAccount
from chatterbox_cached.cli.report.document import document
from chatterbox_cached.library import savings
from chatterbox_cached.library.savings import Savings
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.folder import let_all_read
from tests.support.commands import Cli
from tests.support.filled_folders import digest, fill, name
from tests.support.people import AS_ROOT, as_user, within_reach

ANNA = b"anna"
_VOID = {"meta", "path", "rect"}


class Page(HTMLParser):
    """A page as a browser would take it: its tags, their attributes, and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {attribute for attribute, _ in attrs}
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {attribute for attribute, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open and data.strip():
            self.pieces.append(" ".join(data.split()))

    @property
    def words(self) -> str:
        return " ".join(self.pieces)


def told(root: Path, *names: str, totals: Totals | None = None) -> None:
    """Have the account of a folder say that voices of these names were used now, and that so much was counted."""
    now = time.time()
    voices = [VoiceAccount(digest(ascii(each).encode()), each, f"/{each}", 6.0, now, 2, 3.0) for each in names]
    account.add(root, Batch(now, totals or {}, voices), lambda error: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one voice, which was used."""
    root = tmp_path / "voices"
    fill(root, ANNA)
    name(root, ANNA, "/people/anna.wav")
    return root


@pytest.fixture
def reachable() -> Iterator[Path]:
    yield from within_reach()


def test_a_report_shows_what_a_real_run_saved(cli: Cli, used: Path, voice: Path, tmp_path: Path) -> None:
    folder = used
    figures = json.loads(cli("report", "--json", "--cache-dir", folder).stdout)
    totals = json.loads(cli("stats", "--json", "--cache-dir", folder).stdout)["totals"]
    assert (figures["hits"], figures["misses"], figures["hits_by_tier"]) == (3, 1, {"memory": 2, "disk": 1})
    assert figures["saved_seconds"] == totals["saved_seconds"] > 0
    assert sum(day["saved_seconds"] for day in figures["days"]) == pytest.approx(totals["saved_seconds"])
    assert [each["name"] for each in figures["voices"]] == [voice.name]
    assert figures["voices"][0]["saved_seconds"] == pytest.approx(totals["saved_seconds"])
    assert [(why["kind"], why["calls"]) for why in figures["no_hits"]] == [("miss", 1)]

    said = cli("report", "--cache-dir", folder)
    assert said.stdout.startswith("report.html: ")
    assert said.stderr == ""
    page = Page((tmp_path / "report.html").read_text(encoding="ascii"))
    assert "hits, 75% of 4 calls" in page.words
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for shown in (voice.name, today, "nothing was kept of it yet", str(folder), "memory", "size_limit"):
        assert shown in page.pieces
    assert page.tags["h2"] == 6


def test_a_report_runs_nothing_and_fetches_nothing(cli: Cli, root: Path) -> None:
    text = cli("report", "-o", "-", "--cache-dir", root).stdout
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "a", "form", "base"} & page.tags.keys()
    assert not {"src", "href", "style"} & page.attributes
    assert [attribute for attribute in page.attributes if attribute.startswith("on")] == []
    assert re.findall(r"url\(|@import|https?:", text) == []
    assert "default-src 'none'" in text


HOSTILE = (
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "</title></style></table><h1>owned",
    "&lt;b&gt; & 'quoted' \"too\".wav",
    "\u202egnp.exe\x1b[31m\x00.wav",
    "half \udcff.wav",
    "\u05e9\u05dc\u05d5\u05dd.wav",
    "x" * 5000,
)


def test_no_name_is_more_than_a_name(cli: Cli, tmp_path: Path) -> None:
    harmless, hostile = tmp_path / "harmless", tmp_path / "<b>&\"'"
    for folder, names in ((harmless, [f"voice {number}" for number in range(len(HOSTILE))]), (hostile, [*HOSTILE])):
        fill(folder, ANNA)
        counted = {(kind, each): 2 for kind in ("bypasses", "not_stored", "errors") for each in names}
        told(folder, *names, totals={("saved_seconds", ""): 1.0, ("misses", ""): 99, **counted})
    expected, page = (
        Page(cli("report", "-o", "-", "--cache-dir", folder).stdout.encode("ascii").decode())
        for folder in (harmless, hostile)
    )
    assert page.tags == expected.tags
    assert page.attributes == expected.attributes
    for shown in HOSTILE[:4]:
        assert page.pieces.count(shown) == 4
    assert str(hostile) in page.pieces
    assert max(map(len, page.pieces)) <= 1001
    assert not {"\u202e", "\x1b", "\x00"} & set(page.words)


def test_a_folder_that_nobody_used_has_a_report_that_says_so_and_is_not_made(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    page = Page(cli("report", "-o", "-", "--cache-dir", folder).stdout)
    assert "Nothing has been counted in this folder yet." in page.words
    assert "not there yet; made with the first voice" in page.words
    figures = json.loads(cli("report", "--json", "--cache-dir", folder).stdout)
    assert (figures["since"], figures["hits"], figures["days"], figures["voices"]) == (None, 0, [], [])
    assert not folder.exists()


@AS_ROOT
def test_a_folder_that_can_only_be_read_has_a_report_as_well(reachable: Path) -> None:
    root = reachable / "voices"
    fill(root, ANNA)
    told(root, "anna.wav", totals={("memory_hits", ""): 2, ("saved_seconds", ""): 3.0})
    let_all_read(root)

    def report() -> Savings:
        return savings.read(resolve({"cache_dir": root}), pytest.fail)

    ours = report()
    assert "anna.wav" in document(ours, "1.0")

    def reads() -> None:
        theirs = report()
        assert (theirs.hits, theirs.days, theirs.voices) == (2, ours.days, ours.voices)
        assert theirs.tiers[1].state == "only read; new voices are kept in memory only"
        assert "anna.wav" in document(theirs, "1.0")

    as_user(reads)


def test_no_secret_is_shown(cli: Cli, root: Path) -> None:
    secrets = {
        "CHATTERBOX_CACHED_SIGNING_KEY": "an-open-sesame-of-many-bytes",
        "CHATTERBOX_CACHED_SHARED": "valkey://user:open-sesame@127.0.0.1:1/0",
    }
    for more in (["--json"], ["-o", "-"]):
        shown = cli("report", *more, "--cache-dir", root, **secrets)
        assert "sesame" not in shown.stdout + shown.stderr
        assert "1 of them, not shown" in shown.stdout
        assert "valkey://127.0.0.1:1/0" in shown.stdout


def test_a_store_that_can_not_be_reached_is_said_with_what_to_do(cli: Cli, root: Path) -> None:
    store = {"CHATTERBOX_CACHED_SHARED": "valkey://127.0.0.1:1/0", "CHATTERBOX_CACHED_SIGNED": "0"}
    tier = json.loads(cli("report", "--json", "--cache-dir", root, **store).stdout)["tiers"][-1]
    assert (tier["kind"], tier["where"]) == ("shared store", "valkey://127.0.0.1:1/0")
    assert tier["state"].startswith("can't be reached")
    assert "See whether valkey://127.0.0.1:1/0 runs" in tier["advice"]


def test_each_setting_says_where_it_came_from(cli: Cli, root: Path) -> None:
    environment = {"CHATTERBOX_CACHED_SIZE_LIMIT": "5MB", "CHATTERBOX_CACHED_DIR": "/elsewhere"}
    rows = json.loads(cli("report", "--json", "--cache-dir", root, **environment).stdout)["settings"]
    settings = {row["name"]: (row["value"], row["source"]) for row in rows}
    assert settings["cache_dir"] == (str(root), "keyword")
    assert settings["size_limit"] == ("5000000", "environment")
    assert settings["exact"] == ("model", "default")
    by_environment = json.loads(cli("report", "--json", CHATTERBOX_CACHED_DIR=str(root)).stdout)
    assert by_environment["cache_dir"] == str(root)
    assert by_environment["settings"][0]["source"] == "environment"
    assert "CHATTERBOX_CACHED_SIZE_LIMIT" in Page(cli("report", "-o", "-", **environment).stdout).pieces


def test_a_cache_that_is_switched_off_is_said(cli: Cli, root: Path) -> None:
    shown = cli("report", "-o", "-", "--cache-dir", root, CHATTERBOX_CACHED_DISABLE="1").stdout
    assert "The cache is switched off" in Page(shown).words


def test_why_calls_were_no_hits_comes_with_what_would_help(cli: Cli, root: Path) -> None:
    told(
        root,
        totals={("bypasses", "hooks on the encoders"): 4, ("misses", ""): 3, ("not_stored", "unexpected result"): 1},
    )
    page = Page(cli("report", "-o", "-", "--cache-dir", root).stdout)
    assert "hooks on the encoders bypass Remove the hooks to have voices cached. 4" in page.words
    assert (
        "nothing was kept of it yet miss chatterbox-cached warm prepares voices before they are needed. 2" in page.words
    )
    assert "unexpected result miss, not kept Please report which Chatterbox this is" in page.words


def test_an_earlier_report_is_replaced_and_no_other_file(cli: Cli, root: Path, tmp_path: Path) -> None:
    report, thesis = tmp_path / "report.html", tmp_path / "thesis.html"
    cli("report", "--cache-dir", root)
    first = report.read_bytes()
    told(root, "ben.wav")
    cli("report", "--cache-dir", root)
    assert b"ben.wav" in report.read_bytes()
    assert b"ben.wav" not in first
    thesis.write_text("<!DOCTYPE html><title>Mine</title>")
    for output, said in (("thesis.html", "left alone"), ("voices", "left alone"), ("none/report.html", "no folder")):
        shown = cli("report", "-o", output, "--cache-dir", root, code=1)
        assert len(shown.stderr.splitlines()) == 1
        assert said in shown.stderr
    assert thesis.read_text() == "<!DOCTYPE html><title>Mine</title>"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["report.html", "thesis.html"]


def test_an_account_that_cannot_be_read_is_one_line_of_advice_and_no_report(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "account.db").write_bytes(b"no database " * 100)
    shown = cli("report", "--cache-dir", tmp_path, code=1)
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "delete it" in shown.stderr
    assert not (tmp_path / "report.html").exists()


def test_json_and_a_file_are_not_asked_for_together(cli: Cli, root: Path) -> None:
    assert "--json prints to stdout" in cli("report", "--json", "-o", "a.html", "--cache-dir", root, code=2).stderr
