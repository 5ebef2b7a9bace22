"""``doctor`` on shared stores, against the real servers: what each is, what may be done there, and what to do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.proxy import proxy
from benchmarks.servers import BUCKET, Seaweed, Valkey, free_port, running
from chatterbox_cached.cli.shared_diagnosis import diagnose_shared
from chatterbox_cached.settings import resolve
from tests.support.commands import Cli

# What there is to say of each thing that was looked at, and what to do.
Found = dict[str, tuple[str, str]]
Look = Callable[..., Found]
MAY_ALL = "may read, put, drop, take leases"
SLACK = 6.0  # for a busy machine; one that waits for every operation takes longer
AT_DOCTOR = f"s3://{BUCKET}/doctor"


@pytest.fixture
def looked(tmp_path: Path) -> Look:
    """``looked(url)`` is what doctor finds of one store, or of the last of several."""

    def look(*urls: str, patient: bool = True, **settings: Any) -> Found:
        seconds = {"connect_seconds": 10, "operation_seconds": 20} if patient else {}
        told = {"shared": list(urls), "signed": False, "namespace": tmp_path.name[:64], **seconds, **settings}
        findings = list(diagnose_shared(resolve(told)))
        assert "hush" not in str(findings)
        return {finding.what: (finding.found, finding.advice) for finding in findings}

    return look


def to_do(found: Found) -> list[str]:
    return [what for what, (_, advice) in found.items() if advice]


def test_a_valkey_in_order_is_ready_and_has_nothing_of_ours_afterwards(looked: Look) -> None:
    with running(Valkey) as server:
        found = looked(server.url)
        assert server.client().keys("*") == []
    store, _ = found["shared store"]
    assert re.fullmatch(rf"{server.url}, namespace \S+: Valkey 9\.\d+\.\d+, round trip \d+\.\d\d ms", store)
    assert found["its eviction"][0] == "noeviction, and no limit: nothing is ever evicted"
    assert found["its clock"][0] == "in step with ours"
    assert found["its permissions"][0] == MAY_ALL
    assert found["its conditional puts"][0] == "refused where they should be"
    assert to_do(found) == []


def test_an_s3_in_order_is_ready_and_has_nothing_of_ours_afterwards(looked: Look, s3: Seaweed) -> None:
    found = looked(AT_DOCTOR)
    assert re.search(r": SeaweedFS .*, round trip \d+\.\d\d ms$", found["shared store"][0])
    assert (found["its clock"][0], found["its permissions"][0]) == ("in step with ours", MAY_ALL)
    assert found["its conditional puts"][0] == "refused where they should be"
    assert "its eviction" not in found
    assert to_do(found) == []
    assert s3.client().list_objects_v2(Bucket=BUCKET, Prefix="doctor/").get("Contents") is None


def test_the_command_shows_each_store_within_the_width(
    cli: Cli, unladen: dict[str, str], valkey: Valkey, s3: Seaweed
) -> None:
    stores = f"{valkey.url} {AT_DOCTOR}"
    told = {"CHATTERBOX_CACHED_SHARED": stores, "CHATTERBOX_CACHED_SIGNING_KEY": "a secret of the team"}
    shown = cli("doctor", **unladen, **s3.environment, **told, CHATTERBOX_CACHED_OPERATION_SECONDS="20").stdout
    lines = shown.splitlines()
    assert [line.split()[2].rstrip(",") for line in lines if line.startswith("shared store")] == stores.split()
    assert len([line for line in lines if line.startswith("its permissions")]) == 2
    assert re.search(r"^shared entries +must be signed, and are signed here$", shown, re.MULTILINE)
    ours = next(number for number, line in enumerate(lines) if line.startswith("shared entries"))
    assert max(map(len, lines[ours:])) <= 80
    assert lines[-1] == "ready"


def test_the_command_says_what_to_do_and_shows_no_password(cli: Cli, unladen: dict[str, str]) -> None:
    away = f"127.0.0.1:{free_port()}/0"
    told = {"CHATTERBOX_CACHED_SHARED": f"valkey://someone:hush@{away}", "CHATTERBOX_CACHED_SIGNED": "0"}
    shown = cli("doctor", "--json", code=1, **unladen, **told).stdout
    assert "hush" not in shown
    assert f"CHATTERBOX_CACHED_SHARED=valkey://{away}" in shown
    findings = json.loads(shown)["findings"]
    assert [finding["what"] for finding in findings if finding["advice"]] == ["shared store"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"signed": False}, "are not signed: all that is in the stores is believed"),
        ({"signing_key": "a secret of the team"}, "must be signed, and are signed here"),
        (
            {"verify_keys": "ed25519-public:2uvHjO7FgCk4e3RsRXcR6dMAFDsAqCCd0nIUUF2+kc0="},
            "must be signed; none is put there, since there is no key to sign with",
        ),
    ],
)
def test_what_signatures_are_asked_for_is_said(looked: Look, valkey: Valkey, keys: dict[str, Any], said: str) -> None:
    found = looked(valkey.url, **keys)
    assert found["shared entries"] == (said, "")
    assert (found["its permissions"][0] == MAY_ALL) is ("verify_keys" not in keys)


POLICIES = {
    "noeviction": "takes nothing more; volatile-lru would",
    "volatile-lru": "evicts voices, and nothing that must stay",
    "allkeys-lru": "forgotten voices, too; volatile-lru evicts voices alone",
    "allkeys-random": "forgotten voices, too; volatile-lru evicts voices alone",
}


def test_what_a_policy_with_a_limit_means_is_said(looked: Look) -> None:
    with running(lambda: Valkey(maxmemory="100mb")) as server:
        for policy, meaning in POLICIES.items():
            server.client().config_set("maxmemory-policy", policy)
            said, advice = looked(server.url)["its eviction"]
            assert said.startswith(f"{policy} at 105 MB: ")
            assert meaning in said
            assert advice == ""


def test_a_valkey_that_is_full_is_said_to_take_nothing(looked: Look) -> None:
    with running(lambda: Valkey(maxmemory="1000", maxmemory_policy="noeviction")) as server:
        found = looked(server.url)
    said, advice = found["its permissions"]
    assert said.startswith("may read, drop; can't put (OutOfMemoryError: ")
    assert "full" in advice
    assert "CHATTERBOX_CACHED_SHARED_MODE=read" in advice
    assert "its conditional puts" not in found


@pytest.fixture
def for_readers() -> Iterator[Valkey]:
    with running(Valkey) as server:
        server.client().execute_command("ACL", "SETUSER", "reader", "on", ">hush", "~*", "+@read", "+@connection")
        yield server


def test_a_user_who_may_only_read_is_in_order_where_nothing_is_put(looked: Look, for_readers: Valkey) -> None:
    url = f"valkey://reader:hush@127.0.0.1:{for_readers.port}/0"
    found = looked(url)
    said, advice = found["its permissions"]
    assert said.startswith("may read; can't put (NoPermissionError: ")
    for what in ("drop", "take leases"):
        assert f"can't {what} (NoPermissionError: " in said
    assert "CHATTERBOX_CACHED_SHARED_MODE=read" in advice
    assert "its eviction" not in found  # this user may not ask
    found = looked(url, shared_mode="read")
    assert found["its permissions"] == ("may read; nothing is put there, by the settings", "")
    assert for_readers.client().keys("*") == []


def test_a_wrong_password_is_told_of(looked: Look) -> None:
    with running(lambda: Valkey(requirepass="hush")) as server:
        for login in ("", ":wrong-hush@"):
            said, advice = looked(f"valkey://{login}127.0.0.1:{server.port}/0")["shared store"]
            assert "AuthenticationError" in said
            assert "password" in advice
        assert to_do(looked(f"valkey://:hush@127.0.0.1:{server.port}/0")) == []


def test_wrong_credentials_for_s3_are_told_of(looked: Look, s3: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    found = looked(AT_DOCTOR)
    said, advice = found["its permissions"]
    assert said.startswith("can't read (ClientError: ")
    assert "SignatureDoesNotMatch" in said
    assert "credentials" in advice
    assert "SeaweedFS" in found["shared store"][0]


def test_a_bucket_that_is_not_there_is_told_of(looked: Look, s3: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERBOX_CACHED_OPERATION_SECONDS", "20")
    said, advice = looked("s3://nobodys-bucket/doctor")["its permissions"]
    assert "NoSuchBucket" in said
    assert advice


def test_a_store_that_is_away_keeps_no_other_from_being_looked_at(looked: Look, valkey: Valkey) -> None:
    away = f"valkey://127.0.0.1:{free_port()}/0"
    for urls in ((away, valkey.url), (valkey.url, away)):
        assert looked(*urls)["its permissions"][0] == MAY_ALL
    said, advice = looked(valkey.url, away)["shared store"]
    assert said.startswith(f"{away}: ConnectionError")
    assert away in advice


@pytest.mark.parametrize("kind", ["valkey", "s3"])
def test_a_store_that_answers_nothing_costs_its_timeouts_once(
    looked: Look, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = request.getfixturevalue(kind)
    with proxy(server.port) as between:
        between.silent = True
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{between.port}")
        url = AT_DOCTOR if kind == "s3" else f"valkey://127.0.0.1:{between.port}/0"
        began = time.monotonic()
        found = looked(url, patient=False)
        assert time.monotonic() - began < 1.2 + SLACK
    said, advice = found["shared store"]
    assert "Timeout" in said
    assert advice
    assert "its permissions" not in found


@pytest.mark.parametrize("header", [b"If-None-Match", b"If-Match"])
def test_an_s3_that_ignores_a_condition_of_puts_is_told_of(
    looked: Look, open_s3: Seaweed, header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(open_s3.port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{between.port}")
        assert to_do(looked(open_s3.url)) == []
        between.hides = (header,)
        between.cut()
        found = looked(open_s3.url)
    assert found["its permissions"][0] == MAY_ALL
    said, advice = found["its conditional puts"]
    assert "was put without it" in said
    assert "leases and forgetting are not safe" in advice
    assert open_s3.client().list_objects_v2(Bucket=BUCKET).get("Contents") is None


@pytest.fixture(scope="module")
def _open_s3() -> Iterator[Seaweed]:
    with running(lambda: Seaweed(open_to_all=True)) as server:  # one with credentials sees that a header is missing
        yield server


@pytest.fixture
def open_s3(_open_s3: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    for name, value in _open_s3.environment.items():
        monkeypatch.setenv(name, value)
    return _open_s3
