"""What docs/fleet.md prints for tenants lets each do all that this library does, and nothing in another's namespace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from redis.exceptions import NoPermissionError

from benchmarks.servers import BUCKET, Seaweed, Valkey, running
from chatterbox_cached.tiers.shared.protocol import SharedTier
from chatterbox_cached.tiers.shared.stores import names_at, store_at

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
SECONDS = 20.0
VOICE = "ab" * 32
KEY, OTHER_KEY = f"v3/{VOICE}/{'cd' * 32}", f"v3/{VOICE}/{'ef' * 32}"


def block(beginning: str) -> str:
    """The one block of code in the page that begins so."""
    (found,) = [text for text in re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.M | re.S) if text.startswith(beginning)]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with running(Valkey) as server:
        server.client().execute_command(*block("ACL SETUSER").split())
        yield server


def tenant(server: Valkey, namespace: str) -> SharedTier:
    """The user team-a, in a namespace that may be another's."""
    return store_at(f"valkey://team-a:password@127.0.0.1:{server.port}/0", namespace, SECONDS, SECONDS)


# Everything that the library does there, in an order in which each finds something to do, with what it gives.
DONE: list[tuple[str, Callable[[SharedTier], object], object]] = [
    ("put", lambda tier: tier.put(KEY, b"a voice"), None),
    ("get", lambda tier: tier.get(KEY), b"a voice"),
    ("contains", lambda tier: tier.contains(KEY), True),
    ("keys", lambda tier: tier.keys(), [KEY]),
    ("keys of a voice", lambda tier: tier.keys(f"v3/{VOICE}/"), [KEY]),
    ("count", lambda tier: len(tier), 1),
    ("size", lambda tier: tier.nbytes(), 7),
    ("sizes", lambda tier: tier.sizes(), {KEY: 7}),
    ("delete", lambda tier: tier.delete(KEY), True),
    ("delete a voice", lambda tier: (tier.put(OTHER_KEY, b"another"), tier.delete_voice(f"v3/{VOICE}/"))[1], 1),
    ("clear", lambda tier: (tier.put(KEY, b"a voice"), tier.clear())[1], 1),
    ("forget", lambda tier: tier.forget(VOICE), None),
    ("what is forgotten", lambda tier: getattr(tier.forgotten(""), "voices", None), frozenset({VOICE})),
    ("since when", lambda tier: list(tier.forgotten_since()), [VOICE]),
    ("lift", lambda tier: tier.lift(VOICE), True),
    ("note again", lambda tier: tier.note_again([VOICE]), None),
    ("lifted", lambda tier: getattr(tier.forgotten(""), "lifted", None), frozenset({VOICE})),
    ("lease", lambda tier: tier.acquire("a lease", "token", SECONDS), True),
    ("renew", lambda tier: tier.renew("a lease", "token", SECONDS), True),
    ("release", lambda tier: tier.release("a lease", "token"), None),
    ("released", lambda tier: tier.acquire("a lease", "another", SECONDS), True),
    ("conditions", lambda tier: tier.keeps_conditions("another lease"), True),
]  # fmt: skip


def test_a_tenant_may_do_all_that_the_library_does(server: Valkey) -> None:
    tier = tenant(server, "team-a")
    assert [(what, act(tier)) for what, act, _ in DONE] == [(what, given) for what, _, given in DONE]
    about = tier.about()
    assert about.server is not None
    assert about.server.startswith("Valkey ")
    assert about.clock is not None
    assert about.limit is None  # what tells of the whole server is not a tenant's to know


@pytest.mark.parametrize("namespace", ["team-a", "team-b"])
def test_a_tenant_shares_the_names_of_its_voices_and_no_others(server: Valkey, namespace: str) -> None:
    names = names_at(f"valkey://team-a:password@127.0.0.1:{server.port}/0", namespace, SECONDS, SECONDS)
    for what, act, given in DONE[: [what for what, *_ in DONE].index("forget")]:
        if namespace == "team-a":
            assert (what, act(names)) == (what, given)
        else:
            with pytest.raises(NoPermissionError):
                act(names)


@pytest.mark.parametrize("namespace", ["team-b", "team-a2", "team"])
def test_the_server_refuses_a_tenant_everything_in_another_namespace(server: Valkey, namespace: str) -> None:
    owner = store_at(server.url, namespace, SECONDS, SECONDS)
    owner.put(KEY, b"theirs")
    owner.forget(VOICE)
    owner.acquire("a lease", "token", SECONDS)
    tier = tenant(server, namespace)
    for what, act, _ in DONE:
        with pytest.raises(NoPermissionError):
            raise AssertionError(f"{what} was let through, and gave {act(tier)}")
    assert (owner.get(KEY), owner.keys()) == (b"theirs", [KEY])
    assert list(owner.forgotten_since()) == [VOICE]
    assert owner.renew("a lease", "token", SECONDS)


@pytest.mark.parametrize("command", ["KEYS *", "SCAN 0", "DBSIZE", "INFO", "FLUSHALL", "CONFIG GET *", "RANDOMKEY"])
def test_a_tenant_can_not_look_round_the_server(server: Valkey, command: str) -> None:
    client = server.client(username="team-a", password="password")
    with pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


# S3


POLICY = block('{\n  "Version"').replace("team-bucket", BUCKET)
PREFIX = f"s3://{BUCKET}/chatterbox"
TENANT = {"AWS_ACCESS_KEY_ID": "team-a", "AWS_SECRET_ACCESS_KEY": "password"}
# What does nothing, and asks nothing, for a lease that was not taken.
NOTHING_WITHOUT_A_LEASE = {"renew", "release"}


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Seaweed]:
    with running(lambda: Seaweed(tenant=("team-a", "password", POLICY))) as server:
        yield server


@pytest.fixture
def s3_tiers(s3_server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[SharedTier, SharedTier]]:
    """``s3_tiers(namespace)``: its owner's, and the same as the user team-a sees it."""

    def tiers(namespace: str) -> tuple[SharedTier, SharedTier]:
        found = []
        for login in ({}, TENANT):
            for name, value in {**s3_server.environment, **login}.items():
                monkeypatch.setenv(name, value)
            tier = store_at(PREFIX, namespace, SECONDS, SECONDS)
            tier.about()  # which finds the credentials
            found.append(tier)
        return found[0], found[1]

    return tiers


def test_a_tenant_of_s3_may_do_all_that_the_library_does(s3_tiers: Callable[[str], Any]) -> None:
    _, tier = s3_tiers("team-a")
    assert [(what, act(tier)) for what, act, _ in DONE] == [(what, given) for what, _, given in DONE]


@pytest.mark.parametrize("namespace", ["team-b", "team-a2", "team"])
def test_s3_refuses_a_tenant_everything_in_another_namespace(namespace: str, s3_tiers: Callable[[str], Any]) -> None:
    owner, tier = s3_tiers(namespace)
    owner.put(KEY, b"theirs")
    owner.forget(VOICE)
    owner.acquire("a lease", "token", SECONDS)
    for what, act, _ in DONE:
        if what not in NOTHING_WITHOUT_A_LEASE:
            with pytest.raises(ClientError, match=r"AccessDenied|403"):
                raise AssertionError(f"{what} was let through, and gave {act(tier)}")
    for prefix in (KEY, ""):
        with pytest.raises(ClientError, match="AccessDenied"):
            raise AssertionError(f"{prefix} was let through: {tier.delete_voice(prefix)}")
    assert (owner.get(KEY), owner.keys()) == (b"theirs", [KEY])
    assert list(owner.forgotten_since()) == [VOICE]
    assert owner.renew("a lease", "token", SECONDS)


def test_a_tenant_of_s3_can_not_look_round_the_bucket(s3_server: Seaweed) -> None:
    login = {**s3_server.login, "aws_access_key_id": "team-a", "aws_secret_access_key": "password"}
    client = boto3.session.Session().client("s3", **login)
    source = f"{BUCKET}/chatterbox/team-b/voices/one"
    for look in (
        lambda: client.list_objects_v2(Bucket=BUCKET),
        lambda: client.list_objects_v2(Bucket=BUCKET, Prefix="chatterbox/"),
        lambda: client.copy_object(Bucket=BUCKET, Key="chatterbox/team-a/one", CopySource=source),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            raise AssertionError(f"was let through: {look()}")
