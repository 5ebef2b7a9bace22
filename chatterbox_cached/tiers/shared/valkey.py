"""A store in Valkey, Redis, or what speaks as they do.

    <root>:v<schema>/<audio>   hash     what was made of one voice, by the digest of what made it; it expires
    <root>:voices              zset     the hashes, by when they were last put to: a tenant may not list all keys
    <root>:forgotten           hash     the voices that no machine may keep, with when they were forgotten, or 0 for one
                                        that was lifted; and, so that both are there or neither, a name that is new with
                                        each change of those
    <root>:lease:<name>        string   the token of who has it; it expires
    <root>:named:...                    the same for what machines share of named voices, which does not expire

``<root>`` is ``chatterbox-cached:<namespace>``. What was made of one voice is one hash, so it is dropped, and evicted,
at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ...addresses import Address
from ...concurrency.deadline import within
from ...concurrency.forks import RenewedAfterFork
from ...errors import EntryError
from ...voice.entry_format import MOST_BYTES
from .protocol import About, Forgotten, noted

if TYPE_CHECKING:
    import redis

_Result = TypeVar("_Result")
_BATCH = 200
_STATE = b"state"  # no SHA-256; no count, which a server that has lost all would begin anew
# Voices expire, so that a server which evicts only what expires (volatile-lru) never evicts anything else of ours.
_LIFE_SECONDS = 365 * 24 * 3600
# The value, or its size where that is larger: in one trip, and what is too large stays where it is.
_GET = """
local size = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if size > tonumber(ARGV[2]) then return size end
return redis.call('HGET', KEYS[1], ARGV[1])
"""
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class ValkeyTier(RenewedAfterFork):
    """See SharedTier. Timeouts are in seconds: to connect, and for the answer to one operation.

    ``expires``: whether what is put may be evicted, and goes by itself after a year.
    """

    def __init__(
        self,
        address: Address,
        namespace: str,
        connect_seconds: float,
        operation_seconds: float,
        *,
        expires: bool = True,
    ) -> None:
        self._expires = expires
        self.name, self._url = address.label, address.url
        self._root = f"chatterbox-cached:{namespace}"
        self._connect_seconds, self._operation_seconds = connect_seconds, operation_seconds
        super().__init__()

    def renew_locks(self) -> None:
        self._made: redis.Redis | None = None

    def open(self) -> None:
        """Nothing to get ready: connections are made by the first operation."""

    def get(self, key: str) -> bytes | None:
        found = self._do(lambda client: client.eval(_GET, 1, *self._place(key), MOST_BYTES))
        if isinstance(found, int):
            raise EntryError(f"entry is larger than any voice, {found} bytes")
        value: bytes | None = found
        return value

    def contains(self, key: str) -> bool:
        voice, maker = self._place(key)
        return bool(self._do(lambda client: client.hexists(voice, maker)))

    def put(self, key: str, value: bytes) -> None:
        voice, maker = self._place(key)
        self._at_once(
            lambda pipe: (
                pipe.hset(voice, maker, value),
                self._expires and pipe.expire(voice, _LIFE_SECONDS),
                pipe.zadd(self._voices, {voice: time.time()}),
            )
        )

    def delete(self, key: str) -> bool:
        voice, maker = self._place(key)
        return bool(self._do(lambda client: client.hdel(voice, maker)))

    def delete_voice(self, prefix: str) -> int:
        return self._drop([self._hash_of(prefix)])

    def clear(self) -> int:
        return sum(self._drop(batch) for batch in _batches(self._all_voices()))

    def keys(self, prefix: str = "") -> list[str]:
        names = [self._hash_of(prefix)] if prefix.count("/") > 1 else self._all_voices()
        found = []
        for batch in _batches(names):
            makers = self._each(batch, lambda pipe, name: pipe.hkeys(name))
            found += [
                f"{self._voice_of(name)}/{maker.decode()}"
                for name, its in zip(batch, makers, strict=True)
                for maker in its
            ]
        return [key for key in found if key.startswith(prefix)]

    def __len__(self) -> int:
        return len(self.keys())

    def nbytes(self) -> int:
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for batch in _batches(self.keys()):
            lengths = self._each(batch, lambda pipe, key: pipe.hstrlen(*self._place(key)))
            found.update(zip(batch, lengths, strict=True))
        return found

    def close(self) -> None:
        client, self._made = self._made, None
        if client is not None:
            client.close()

    def forgotten(self, known: str) -> Forgotten | None:
        state = (self._do(lambda client: client.hget(f"{self._root}:forgotten", _STATE)) or b"").decode()
        return None if state == known else noted(state, self._notes())

    def forgotten_since(self) -> dict[str, float]:
        return {voice: when for voice, when in self._notes().items() if when}

    def forget(self, voice: str) -> None:
        self._note(lambda pipe, notes: pipe.hset(notes, voice, int(time.time())))

    def note_again(self, voices: Collection[str]) -> None:
        self._note(lambda pipe, notes: [pipe.hsetnx(notes, voice, int(time.time())) for voice in voices])

    def lift(self, voice: str) -> bool:
        before, *_ = self._note(lambda pipe, notes: (pipe.hget(notes, voice), pipe.hset(notes, voice, 0)))
        return bool(before and float(before))

    def acquire(self, name: str, token: str, seconds: float) -> bool:
        lease, milliseconds = self._lease(name), round(1000 * seconds)
        return bool(self._do(lambda client: client.set(lease, token, nx=True, px=milliseconds)))

    def renew(self, name: str, token: str, seconds: float) -> bool:
        lease, milliseconds = self._lease(name), round(1000 * seconds)
        return bool(self._do(lambda client: client.eval(_RENEW, 1, lease, token, milliseconds)))

    def release(self, name: str, token: str) -> None:
        lease = self._lease(name)
        self._do(lambda client: client.eval(_RELEASE, 1, lease, token))

    def about(self) -> About:
        # Each by itself: a tenant may ask for the first two, and not for what tells of other tenants.
        hello = self._unless_refused(lambda client: client.execute_command("HELLO"))
        now = self._unless_refused(lambda client: client.time())
        info = self._unless_refused(lambda client: client.info("memory")) or {}
        return About(
            None if hello is None else _server(hello),
            None if now is None else now[0] + now[1] / 1e6,
            info.get("maxmemory"),
            info.get("maxmemory_policy"),
        )

    def keeps_conditions(self, name: str) -> bool:
        taken = [self.acquire(name, token, 1.0) for token in ("first", "second")]
        self.release(name, "first")
        return taken == [True, False]

    @property
    def _voices(self) -> str:
        return f"{self._root}:voices"

    def _lease(self, name: str) -> str:
        return f"{self._root}:lease:{name}"

    def _place(self, key: str) -> tuple[str, str]:
        voice, _, maker = key.rpartition("/")
        return f"{self._root}:{voice}", maker

    def _hash_of(self, prefix: str) -> str:
        return self._place(prefix)[0]

    def _voice_of(self, name: str) -> str:
        return name[len(self._root) + 1 :]

    def _all_voices(self) -> list[str]:
        return [name.decode() for name in self._do(lambda client: client.zrange(self._voices, 0, -1))]

    def _notes(self) -> dict[str, float]:
        notes = self._do(lambda client: client.hgetall(f"{self._root}:forgotten"))
        return {voice.decode(): float(when) for voice, when in notes.items() if voice != _STATE}

    def _note(self, change: Callable[[Any, str], object]) -> list[Any]:
        notes = f"{self._root}:forgotten"
        return self._at_once(lambda pipe: (change(pipe, notes), pipe.hset(notes, _STATE, uuid.uuid4().hex)))

    def _drop(self, voices: list[str]) -> int:
        def drop(pipe: Any) -> None:
            for name in voices:
                pipe.hlen(name)
            pipe.unlink(*voices)
            pipe.zrem(self._voices, *voices)

        return sum(self._at_once(drop)[: len(voices)])

    def _each(self, names: list[str], command: Callable[[Any, str], object]) -> list[Any]:
        return self._at_once(lambda pipe: [command(pipe, name) for name in names])

    def _at_once(self, commands: Callable[[Any], object]) -> list[Any]:
        """The results of several commands, sent together and run with no other between."""

        def run(client: redis.Redis) -> list[Any]:
            with client.pipeline(transaction=True) as pipe:
                commands(pipe)
                return list(pipe.execute())

        return self._do(run)

    def _unless_refused(self, operation: Callable[[Any], _Result]) -> _Result | None:
        from redis import ResponseError

        try:
            return self._do(operation)
        except ResponseError:
            return None

    def _do(self, operation: Callable[[Any], _Result]) -> _Result:
        client = self._made or self._make()
        return within(self._connect_seconds + self._operation_seconds, lambda: operation(client))

    def _make(self) -> redis.Redis:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # Once more where the server has closed a connection meanwhile; after a timeout it would be a second timeout.
        retry = Retry(NoBackoff(), 1, (redis.ConnectionError,))
        client = redis.Redis.from_url(
            self._url,
            socket_connect_timeout=self._connect_seconds,
            socket_timeout=self._operation_seconds,
            retry=retry,
        )
        self._made = client
        return client


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


def _server(hello: Any) -> str:
    """Name and version from the answer to HELLO: pairs, or before RESP3 a list of them."""
    said = hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2], strict=True))
    return f"{said[b'server'].decode().capitalize()} {said[b'version'].decode()}"
