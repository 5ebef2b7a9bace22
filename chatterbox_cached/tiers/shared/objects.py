"""A store in S3, or what speaks as it does.

    <root>/voices/v<schema>/<audio>/<maker>   one entry
    <root>/forgotten.json                     the voices that no machine may keep, with when they were forgotten, or
                                              with no time, for one that was lifted
    <root>/leases/<name>                      the token of who has it; its age is by the server's clock
    <root>/named/voices/...                   what machines share of named voices

``<root>`` is ``<prefix>/<namespace>``. Leases and the forgotten rest on puts with a condition.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from ...addresses import Address
from ...concurrency.deadline import within
from ...concurrency.forks import RenewedAfterFork
from ...errors import EntryError
from ...voice.entry_format import MOST_BYTES
from .protocol import About, Forgotten, noted

_Result = TypeVar("_Result")
_BATCH = 1000  # what one request may list or delete
_ATTEMPTS = 10
_NOBODYS_TAG = f'"{"0" * 32}"'
# An object. In other words it is a bucket, or the server is not S3; only the answer to a HEAD has no words.
_ABSENT = frozenset({"NoSuchKey"})
_ABSENT_BY_HEAD = _ABSENT | {"404", "NotFound"}
_ANOTHER_WAS_FIRST = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})


class S3Tier(RenewedAfterFork):
    """See SharedTier. Timeouts are in seconds: to connect, and for the answer to one operation.

    Endpoint, region and credentials are found as boto3 finds them.
    """

    def __init__(self, address: Address, namespace: str, connect_seconds: float, operation_seconds: float) -> None:
        self.name, self._bucket = address.label, address.bucket
        self._root = f"{address.prefix}/{namespace}".lstrip("/")
        self._connect_seconds, self._operation_seconds = connect_seconds, operation_seconds
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._made: Any = None
        self._tags: dict[tuple[str, str], str] = {}  # of the leases that are held here

    def open(self) -> None:
        """Nothing to get ready: connections are made by the first operation."""

    def get(self, key: str) -> bytes | None:
        def read(client: Any) -> bytes | None:
            found = self._unless_absent(lambda: client.get_object(Bucket=self._bucket, Key=self._place(key)))
            if found is None:
                return None
            with found["Body"] as body:
                if (size := found["ContentLength"]) > MOST_BYTES:
                    raise EntryError(f"entry is larger than any voice, {size} bytes")
                return bytes(body.read())

        return self._do(read)

    def contains(self, key: str) -> bool:
        return self._head(self._place(key)) is not None

    def put(self, key: str, value: bytes) -> None:
        self._call("put_object", Bucket=self._bucket, Key=self._place(key), Body=value)

    def delete(self, key: str) -> bool:
        if not self.contains(key):
            return False
        self._call("delete_object", Bucket=self._bucket, Key=self._place(key))
        return True

    def delete_voice(self, prefix: str) -> int:
        return self._drop(prefix)

    def clear(self) -> int:
        return self._drop("")

    def keys(self, prefix: str = "") -> list[str]:
        listed = sorted(self._listed(prefix), key=lambda each: each["LastModified"])
        return [self._key_at(each["Key"]) for each in listed]

    def __len__(self) -> int:
        return sum(1 for _ in self._listed(""))

    def nbytes(self) -> int:
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        return {self._key_at(each["Key"]): each["Size"] for each in self._listed("")}

    def close(self) -> None:
        client, self._made = self._made, None
        if client is not None:
            client.close()

    def forgotten(self, known: str) -> Forgotten | None:
        state, notes = self._read_forgotten() or ("", {})
        return None if state == known else noted(state, notes)

    def forgotten_since(self) -> dict[str, float]:
        _, notes = self._read_forgotten() or ("", {})
        return {voice: datetime.fromisoformat(when).timestamp() for voice, when in notes.items() if when}

    def forget(self, voice: str) -> None:
        self._change_forgotten(lambda notes: {**notes, voice: _now()})

    def note_again(self, voices: Collection[str]) -> None:
        self._change_forgotten(lambda notes: {**dict.fromkeys(voices, _now()), **notes})

    def lift(self, voice: str) -> bool:
        return bool(self._change_forgotten(lambda notes: {**notes, voice: ""}).get(voice))

    def acquire(self, name: str, token: str, seconds: float) -> bool:
        place = self._lease(name)
        tag = self._put_if(place, _told(token), None)
        if tag is None:
            there = self._head(place)
            if there is None or _age(there) <= seconds:
                return False
            tag = self._put_if(place, _told(token), there["ETag"])  # its holder is gone, or as good as gone
        if tag is not None:
            self._tags[name, token] = tag
        return tag is not None

    def renew(self, name: str, token: str, seconds: float) -> bool:
        tag = self._tags.get((name, token))
        renewed = tag and self._put_if(self._lease(name), _told(token), tag)
        if renewed:
            self._tags[name, token] = renewed
        return bool(renewed)

    def release(self, name: str, token: str) -> None:
        tag = self._tags.pop((name, token), None)
        if tag is None:
            return
        there = self._head(self._lease(name))
        # Not every S3 knows a delete with a condition; between these two lines is a request, and not a lease's time.
        if there is not None and there["ETag"] == tag:
            self._call("delete_object", Bucket=self._bucket, Key=self._lease(name))

    def about(self) -> About:
        """From the headers of an answer, which a refusal has too."""
        from botocore.exceptions import ClientError

        try:
            answer = self._call("head_object", Bucket=self._bucket, Key=f"{self._root}/forgotten.json")
        except ClientError as error:
            answer = error.response
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        clock = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else None
        return About(headers.get("server"), clock)

    def keeps_conditions(self, name: str) -> bool:
        place = self._lease(name)
        try:
            tags = [self._put_if(place, _told(name), tag) for tag in (None, None, _NOBODYS_TAG)]
        finally:
            self._call("delete_object", Bucket=self._bucket, Key=place)
        return tags[0] is not None and tags[1:] == [None, None]

    def _place(self, key: str) -> str:
        return f"{self._root}/voices/{'/'.join(map(_quoted, key.split('/')))}"

    def _key_at(self, place: str) -> str:
        return unquote(place[len(f"{self._root}/voices/") :]).replace("\0", "")

    def _lease(self, name: str) -> str:
        return f"{self._root}/leases/{name}"

    def _listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        """What is there of the keys that begin with ``prefix``, each page within the timeouts."""
        *parents, last = prefix.split("/")
        begins = "/".join([f"{self._root}/voices", *map(_quoted, parents), _quoted(last) if last else ""])
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": begins, "MaxKeys": _BATCH}
        while True:
            page = self._call("list_objects_v2", **asked)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _drop(self, prefix: str) -> int:
        places = [each["Key"] for each in self._listed(prefix)]
        for start in range(0, len(places), _BATCH):
            named = [{"Key": place} for place in places[start : start + _BATCH]]
            dropped = self._call("delete_objects", Bucket=self._bucket, Delete={"Objects": named, "Quiet": True})
            if errors := dropped.get("Errors"):
                raise OSError(f"{len(errors)} could not be dropped: {errors[0].get('Message', errors[0])}")
        return len(places)

    def _read_forgotten(self) -> tuple[str, dict[str, str]] | None:
        def read(client: Any) -> tuple[str, dict[str, str]] | None:
            place = f"{self._root}/forgotten.json"
            found = self._unless_absent(lambda: client.get_object(Bucket=self._bucket, Key=place))
            if found is None:
                return None
            with found["Body"] as body:
                return found["ETag"], dict(json.loads(body.read())["voices"])

        return self._do(read)

    def _change_forgotten(self, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
        """Change what is there, and not what was there before another machine has changed it; gives what was there."""
        for attempt in range(_ATTEMPTS):
            time.sleep(random.uniform(0, 0.05 * attempt))  # lest they all come again at once
            tag, notes = self._read_forgotten() or (None, {})
            changed = change(notes)
            told = json.dumps({"voices": changed}, indent=1).encode()
            if changed == notes or self._put_if(f"{self._root}/forgotten.json", told, tag) is not None:
                return notes
        raise OSError(f"other machines changed what is forgotten {_ATTEMPTS} times meanwhile")

    def _put_if(self, place: str, content: bytes, tag: str | None) -> str | None:
        """Put where what is there has this tag, or, for None, where nothing is; the new tag, or None."""
        from botocore.exceptions import ClientError

        only = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            put = self._call("put_object", Bucket=self._bucket, Key=place, Body=content, **only)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ANOTHER_WAS_FIRST | _ABSENT:
                return None
            raise
        return str(put["ETag"])

    def _head(self, place: str) -> Any:
        ask = partial(self._call, "head_object", Bucket=self._bucket, Key=place)
        return self._unless_absent(ask, _ABSENT_BY_HEAD)

    def _unless_absent(self, ask: Callable[[], Any], absent: frozenset[str] = _ABSENT) -> Any:
        from botocore.exceptions import ClientError

        try:
            return ask()
        except ClientError as error:
            if error.response["Error"]["Code"] in absent:
                return None
            raise

    def _call(self, name: str, **asked: Any) -> Any:
        return self._do(lambda client: getattr(client, name)(**asked))

    def _do(self, operation: Callable[[Any], _Result]) -> _Result:
        client = self._made or self._make()
        return within(self._connect_seconds + self._operation_seconds, lambda: operation(client))

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=self._connect_seconds,
            read_timeout=self._operation_seconds,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
        )

        def make() -> Any:
            with self._lock:
                # A session of its own: boto3's own one must not be used by two threads at once.
                self._made = self._made or boto3.session.Session().client("s3", config=config)
                return self._made

        return within(self._connect_seconds + self._operation_seconds, make)  # it may ask for credentials


def _quoted(part: str) -> str:
    """A part of a key as a part of a path that means nothing else: no ``..``, none that is empty."""
    return quote(part, safe="").replace(".", "%2E") or "%00"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _told(token: str) -> bytes:
    """Other bytes each time, so that a renewed lease has another tag."""
    return f"{token} {time.time_ns()}".encode()


def _age(there: Any) -> float:
    """How old an object is, in seconds, by the server's own clock."""
    now = parsedate_to_datetime(there["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - there["LastModified"]).total_seconds())
