"""``ls --shared``, ``clear --shared``, ``rm --everywhere`` and ``lift`` on real servers, and what connects to none."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.proxy import proxy
from benchmarks.servers import Server, Valkey, free_port
from chatterbox_cached import ConditionalCache
from chatterbox_cached.tiers.shared.protocol import SharedTier
from chatterbox_cached.tiers.shared.stores import store_at
from tests.support.commands import Cli
from tests.support.filled_folders import ENGLISH, MULTILINGUAL, digest, entries, fill, name

ANNA, BEN, CLEO = b"anna", b"ben", b"cleo"
KEY = "a key of the team, of 16 bytes and more"
SECONDS = 20.0  # for a busy machine
ON_SHARED = [
    ("ls", "--shared"),
    ("clear", "--shared", "--yes"),
    ("rm", "--everywhere", digest(ANNA)),
    ("lift",),
    ("lift", digest(ANNA)),
]


@pytest.fixture(params=["valkey", "s3"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def namespace(tmp_path: Path) -> str:
    return re.sub(r"\W", "-", tmp_path.name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def shared(cli: Cli, server: Server, namespace: str, root: Path) -> Cli:
    """The command on a machine that shares the store; its folder is ``root``."""
    environment = {
        **getattr(server, "environment", {}),
        "CHATTERBOX_CACHED_SHARED": server.url,
        "CHATTERBOX_CACHED_NAMESPACE": namespace,
        "CHATTERBOX_CACHED_SIGNING_KEY": KEY,
        "CHATTERBOX_CACHED_OPERATION_SECONDS": str(SECONDS),
    }
    return lambda verb, *arguments, **more: cli(verb, "--cache-dir", root, *arguments, **{**environment, **more})


@pytest.fixture
def put(server: Server, namespace: str, tmp_path: Path) -> Callable[..., SharedTier]:
    """``put(ANNA, BEN)`` has these voices in the store, and gives it."""

    def put(*voices: bytes, models: tuple[str, ...] = (ENGLISH,), into: str = namespace) -> SharedTier:
        tier = store_at(server.url, into, SECONDS, SECONDS)
        fill(tmp_path / f"of {into}", *voices, models=models)
        for key, entry in entries(tmp_path / f"of {into}").items():
            tier.put(key, entry)
        return tier

    return put


def listed(shared: Cli) -> dict[str, dict[str, Any]]:
    """What the one store has, by digest."""
    (store,) = json.loads(shared("ls", "--shared", "--json").stdout)["stores"]
    return {voice["digest"]: voice for voice in store["voices"]}


def forgotten(shared: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shared("lift", "--json").stdout)
    return found


def test_ls_shared_lists_what_the_store_has_of_this_namespace_and_of_no_other(
    shared: Cli, put: Callable[..., SharedTier], server: Server, namespace: str, root: Path
) -> None:
    tier = put(ANNA, BEN)
    put(ANNA, models=(MULTILINGUAL,))
    put(CLEO, into=f"{namespace}-other")
    fill(root, CLEO)
    name(root, ANNA, "/clips/anna.wav")
    found = listed(shared)
    assert {each: (voice["name"], voice["entries"]) for each, voice in found.items()} == {
        digest(ANNA): ("anna.wav", 2),
        digest(BEN): (None, 1),
    }
    assert sum(voice["bytes"] for voice in found.values()) == tier.nbytes() > 3 * 7_000
    lines = shared("ls", "--shared").stdout.splitlines()
    assert lines[0].startswith(f"{server.url}, namespace {namespace}: 2 voices in 3 entries, ")
    assert lines[1].split() == ["Voice", "Entries", "Size"]
    assert lines[2].split()[:2] == ["anna.wav", "2"]
    assert lines[3].split()[:2] == [digest(BEN), "1"]
    assert max(map(len, lines[1:])) <= 80
    here = json.loads(shared("ls", "--json").stdout)["voices"]
    assert [voice["digest"] for voice in here] == [digest(CLEO)]


def test_clear_shared_drops_this_namespace_and_nothing_of_any_machine(
    shared: Cli, put: Callable[..., SharedTier], namespace: str, root: Path
) -> None:
    tier, others = put(ANNA, BEN), put(CLEO, into=f"{namespace}-other")
    fill(root, ANNA)
    tier.forget(digest(CLEO))
    assert "--yes" in shared("clear", "--shared", code=1).stderr
    assert len(tier) == 2
    assert shared("clear", "--shared", "--yes").stdout.startswith("Removed 2 entries, ")
    assert (len(tier), len(others), len(entries(root))) == (0, 1, 1)
    assert [each["digest"] for each in forgotten(shared)] == [digest(CLEO)]
    assert json.loads(shared("clear", "--shared", "--json").stdout) == {"entries": 0, "bytes": 0}
    others.clear()


def test_clear_alone_is_this_machines(shared: Cli, put: Callable[..., SharedTier], root: Path) -> None:
    tier = put(ANNA)
    fill(root, ANNA)
    shared("clear", "--yes")
    assert (len(entries(root)), len(tier)) == (0, 1)


def test_rm_alone_is_this_machines_and_says_so(shared: Cli, put: Callable[..., SharedTier], root: Path) -> None:
    tier = put(ANNA)
    fill(root, ANNA)
    shown = shared("rm", digest(ANNA)[:8])
    assert "--everywhere" in shown.stderr
    assert (len(entries(root)), len(tier), forgotten(shared)) == (0, 1, [])


def test_what_is_removed_everywhere_no_machine_keeps_until_it_is_lifted(
    shared: Cli, put: Callable[..., SharedTier], server: Server, namespace: str, root: Path, tmp_path: Path
) -> None:
    put(ANNA, BEN)
    fill(root, ANNA, BEN)
    fill(tmp_path / "of another machine", ANNA, BEN)
    settings = {"shared": server.url, "namespace": namespace, "signing_key": KEY, "operation_seconds": SECONDS}
    other = ConditionalCache(tmp_path / "of another machine", **settings)
    before = time.time()
    shown = shared("rm", "--everywhere", digest(ANNA)[:8]).stdout
    assert shown.startswith(f"Removed {digest(ANNA)[:12]}: 1 entry")
    assert "1 entry was dropped from the shared stores" in shown
    assert {key.split("/")[1] for key in entries(root)} == set(listed(shared)) == {digest(BEN)}
    (note,) = forgotten(shared)
    assert (note["digest"], note["stores"]) == (digest(ANNA), [server.url])
    assert before - 2 <= note["since"] <= time.time() + 2
    assert [line.split()[0] for line in shared("lift").stdout.splitlines()] == [digest(ANNA), "since"]

    assert other.serving.store.shared.may_not_keep(digest(ANNA))
    assert {key.split("/")[1] for key in entries(tmp_path / "of another machine")} == {digest(BEN)}

    assert shared("lift", digest(ANNA)).stdout == f"Machines may keep {digest(ANNA)} again.\n"
    assert forgotten(shared) == []
    assert "is not forgotten" in shared("lift", digest(ANNA), code=1).stderr
    assert shared("lift").stdout == f"Nothing is forgotten in {server.url}.\n"


def test_a_voice_that_is_not_known_here_is_named_by_its_audio_or_whole_digest(
    shared: Cli, put: Callable[..., SharedTier], tmp_path: Path
) -> None:
    tier = put(ANNA, BEN)
    (tmp_path / "any name.wav").write_bytes(ANNA)
    assert "No voice is known" in shared("rm", "--everywhere", digest(BEN)[:12], code=1).stderr
    assert "no whole digest" in shared("lift", digest(BEN)[:12], code=1).stderr
    told = json.loads(shared("rm", "--everywhere", "--json", "any name.wav", digest(BEN)).stdout)
    assert [(row["digest"], row["entries"], row["shared_entries"]) for row in told] == [
        (digest(ANNA), 0, 1),
        (digest(BEN), 0, 1),
    ]
    assert len(tier) == 0
    assert {each["digest"] for each in forgotten(shared)} == {digest(ANNA), digest(BEN)}
    assert json.loads(shared("lift", "any name.wav", "--json").stdout) == {"digest": digest(ANNA)}
    assert [each["digest"] for each in forgotten(shared)] == [digest(BEN)]


@pytest.mark.parametrize("call", ON_SHARED, ids=" ".join)
def test_without_a_store_one_line_says_how_to_name_one(cli: Cli, root: Path, call: tuple[str, ...]) -> None:
    shown = cli(*call, "--cache-dir", root, code=1)
    assert len(shown.stderr.splitlines()) == 1
    assert "CHATTERBOX_CACHED_SHARED=valkey://" in shown.stderr


@pytest.mark.parametrize("call", ON_SHARED, ids=" ".join)
def test_a_store_that_is_away_is_one_line_without_its_password_and_changes_nothing(
    cli: Cli, root: Path, call: tuple[str, ...]
) -> None:
    fill(root, ANNA)
    port = free_port()
    away = {"CHATTERBOX_CACHED_SHARED": f"valkey://someone:hush@127.0.0.1:{port}/0", "CHATTERBOX_CACHED_SIGNED": "0"}
    shown = cli(*call, "--cache-dir", root, code=1, **away)
    assert len(shown.stderr.splitlines()) == 1
    assert f"valkey://127.0.0.1:{port}/0" in shown.stderr
    assert "hush" not in shown.stdout + shown.stderr
    assert len(entries(root)) == 1


def test_what_is_of_this_machine_opens_no_connection(cli: Cli, root: Path, valkey: Valkey) -> None:
    fill(root, ANNA, BEN)
    with proxy(valkey.port) as between:
        told = {"CHATTERBOX_CACHED_SHARED": f"valkey://127.0.0.1:{between.port}/0", "CHATTERBOX_CACHED_SIGNED": "0"}
        for call in (
            ("ls",), ("stats",), ("show", digest(ANNA)), ("check",), ("path",), ("prune", "--to", "100MB"),
            ("export", "--all", "-o", "all.cbv"), ("import", "all.cbv"), ("rm", digest(ANNA)), ("clear", "--yes"),
        ):  # fmt: skip
            cli(*call, "--cache-dir", root, **told)
        assert between.connections == 0
        cli("ls", "--shared", "--cache-dir", root, **told)
        assert between.connections > 0


# Statistics


def test_stats_shows_what_concerns_shared_stores_by_store(
    cli: Cli, root: Path, valkey: Valkey, english: Any, voice: Path, other_voice: Path, namespace: str, tmp_path: Path
) -> None:
    def used(folder: Path, url: str, path: Path) -> None:
        cache = ConditionalCache(folder, shared=url, namespace=namespace, signing_key=KEY)
        cache.get_or_prepare(english, path)
        cache.close()

    away = f"valkey://127.0.0.1:{free_port()}/0"
    used(tmp_path / "of another machine", valkey.url, voice)
    assert "shared" not in cli("stats", "--cache-dir", tmp_path / "of another machine").stdout
    used(root, valkey.url, voice)
    with pytest.warns(match="The voice cache failed"):
        used(root, away, other_voice)
    totals = json.loads(cli("stats", "--cache-dir", root, "--json").stdout)["totals"]
    assert totals["shared_hits_in"] == {valkey.url: 1}
    assert totals["shared_dropped"] == {away: 1}
    lines = [line.split() for line in cli("stats", "--cache-dir", root).stdout.splitlines()]
    assert lines[lines.index(["shared", "hits", "1"]) + 1] == [valkey.url, "1"]
    assert lines[lines.index(["shared", "dropped", "1"]) + 1] == [away, "1"]
    assert [away, "put"] in [line[:2] for line in lines]


def test_what_is_given_up_at_the_end_of_a_program_is_counted(
    cli: Cli, tmp_path: Path, standin_environment: dict[str, str]
) -> None:
    (tmp_path / "anna.wav").write_bytes(ANNA)
    program = "from chatterbox.tts import ChatterboxTTS; ChatterboxTTS().prepare_conditionals('anna.wav')"
    (tmp_path / "program.py").write_text(program)
    away = f"valkey://127.0.0.1:{free_port()}/0"
    told = {"CHATTERBOX_CACHED_SHARED": away, "CHATTERBOX_CACHED_SIGNED": "0", **standin_environment}
    shown = cli("run", "--stats", "program.py", **told).stderr
    assert re.search(rf"^  dropped +1  {away}: 1$", shown, re.MULTILINE), shown
    assert json.loads(cli("stats", "--json", **told).stdout)["totals"]["shared_dropped"] == {away: 1}
    report = json.loads(cli("run", "--json", "program.py", **told).stderr.splitlines()[-1])
    assert report["shared_dropped"] == {away: 1}  # from disk, whence it is offered in each process
