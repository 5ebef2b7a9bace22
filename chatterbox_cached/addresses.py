"""Where a store is that machines share, as users write it: ``valkey://host:6379/0``, ``s3://bucket/prefix``."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

VALKEY, S3 = "valkey", "s3"
EXTRAS = {VALKEY: ("redis", "valkey"), S3: ("boto3", "s3")}  # what each needs, and the extra that brings it
# As redis-py knows them, by the names that users know them by.
_VALKEY = {
    "valkey": "redis",
    "redis": "redis",
    "valkeys": "rediss",
    "rediss": "rediss",
    "unix": "unix",
    "valkey+unix": "unix",
    "redis+unix": "unix",
}
_OF_TEXT = ("decode_responses", "encoding", "encoding_errors")  # what redis-py would make text of our bytes with
FORMS = (
    "'valkey://host:6379/0', 'rediss://user:password@host:6379/0', 'unix:///run/valkey.sock' or 's3://bucket/prefix'"
)


class Address(NamedTuple):
    """A store's: its ``kind``, what its client is given, and a ``label`` without passwords to tell it by.

    ``url`` is what redis-py takes; for S3 it is empty, and ``bucket`` and ``prefix`` (without slashes at its ends) say
    where.
    """

    kind: str
    label: str
    url: str = ""
    bucket: str = ""
    prefix: str = ""


def parsed(text: str) -> Address:
    """The address that a text gives. Raises ValueError, which says what is needed and names no password."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:  # which may show all that stands before the path
        raise ValueError(f"an address such as {FORMS}") from None
    if parts.scheme == "s3":
        if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("'s3://bucket/prefix'; credentials are found as boto3 finds them")
        prefix = unquote(parts.path).strip("/")
        return Address(S3, f"s3://{parts.netloc}/{prefix}".rstrip("/"), bucket=parts.netloc, prefix=prefix)
    scheme = _VALKEY.get(parts.scheme)
    if scheme is None:
        raise ValueError(f"an address such as {FORMS}")
    if parts.fragment or "@" in parts.query:  # the rest of a password, whose beginning would be shown as a port
        raise ValueError("nothing after a '#'; in a password '#' is written '%23', '?' '%3F', '/' '%2F' and '@' '%40'")
    rest, options = text.strip().partition("://")[2], parse_qs(parts.query, keep_blank_values=True)
    if of_text := [option for option in _OF_TEXT if option in options]:
        raise ValueError(f"an address without {of_text[0]}=, since what is kept there is bytes")
    asked = options.get("db", [""])[0]  # which redis-py takes before a database in the path
    if scheme == "unix":
        if not parts.path:
            raise ValueError("the path of a socket, such as 'unix:///run/valkey.sock?db=0'")
        return Address(VALKEY, f"unix://{parts.path}{f'?db={asked}' if asked else ''}", f"unix://{rest}")
    try:
        host, port = parts.hostname, parts.port or 6379
    except ValueError:
        raise ValueError("a host, and a port from 1 to 65535") from None
    database = asked or parts.path.strip("/")
    if not host or not (database.isdigit() or not database):
        raise ValueError("a host, and a database that is a number")
    shown = f"[{host}]" if ":" in host else host
    return Address(VALKEY, f"valkey://{shown}:{port}/{int(database or 0)}", f"{scheme}://{rest}")
