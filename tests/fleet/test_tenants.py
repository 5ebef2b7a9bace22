"""What docs/fleet.md prints for tenants lets each do all that this library does, and nothing in another's namespace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from benchmarks.servers import Valkey, running
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


def test_the_policy_for_s3_is_about_one_namespace_of_one_prefix() -> None:
    objects, listing = json.loads(block('{\n  "Version"'))["Statement"]
    assert objects["Effect"] == listing["Effect"] == "Allow"
    assert sorted(objects["Action"]) == ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    assert objects["Resource"] == "arn:aws:s3:::team-bucket/chatterbox/team-a/*"
    assert (listing["Action"], listing["Resource"]) == ("s3:ListBucket", "arn:aws:s3:::team-bucket")
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "chatterbox/team-a/*"}}
