"""Who may make entries that are believed: keys that sign and check, and keys that only check.

HMAC-SHA256 takes any secret, and whoever can check with it can sign as well. Of an Ed25519 pair only the private key
signs; the public one checks and can't be used to make anything. Which of the two it is stands in what is signed, so a
signature by the one is none by the other, whatever the keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

# The schemes as an entry names them.
UNSIGNED, HMAC_SHA256, ED25519 = range(3)
NAMES = ("unsigned", "HMAC-SHA256", "Ed25519")
SIGNATURE_SIZE = 64
_SHORTEST_SECRET = 16
# Each says what it is: a public key that stood for a private one would be a secret that everybody knows.
_PRIVATE, _PUBLIC = b"ed25519-private:", b"ed25519-public:"
_ED25519_SIZE = 32
_SECRETS = (
    f"a secret of at least {_SHORTEST_SECRET} bytes, or an Ed25519 private key as 'chatterbox-cached keys' makes them"
    " (ed25519-private:...), or a list of these"
)
_PUBLIC_KEYS = "an Ed25519 public key as 'chatterbox-cached keys' makes them (ed25519-public:...), or a list of these"
# What is signed comes in parts, so that nobody need join them who does not have to.
Bytes = bytes | memoryview


class Verifier(Protocol):
    """What tells its own signatures from all others; ``scheme`` is one of those above."""

    scheme: ClassVar[int]

    def verifies(self, signature: bytes, *parts: Bytes) -> bool:
        """Whether this is the signature of these parts, one after the other, filled up to SIGNATURE_SIZE."""
        ...


class Signer(Verifier, Protocol):
    """What makes them as well."""

    def sign(self, *parts: Bytes) -> bytes:
        """The signature of these parts, filled up to SIGNATURE_SIZE with zeros."""
        ...


@dataclass(frozen=True)
class HmacKey:
    """A secret that signs and checks."""

    scheme: ClassVar[int] = HMAC_SHA256
    secret: bytes = field(repr=False)

    def sign(self, *parts: Bytes) -> bytes:
        made = hmac.new(self.secret, digestmod=hashlib.sha256)
        for part in parts:
            made.update(part)
        return made.digest().ljust(SIGNATURE_SIZE, b"\0")

    def verifies(self, signature: bytes, *parts: Bytes) -> bool:
        return hmac.compare_digest(self.sign(*parts), signature)


@dataclass(frozen=True)
class PublicKey:
    """The public key of an Ed25519 pair, which only checks."""

    scheme: ClassVar[int] = ED25519
    key: ed25519.Ed25519PublicKey = field(repr=False)

    def verifies(self, signature: bytes, *parts: Bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, b"".join(parts))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey(PublicKey):
    """The private key of a pair, with its public half."""

    private: ed25519.Ed25519PrivateKey = field(repr=False)

    def sign(self, *parts: Bytes) -> bytes:
        return self.private.sign(b"".join(parts))


@dataclass(frozen=True)
class Keyring:
    """``signer`` signs what is stored. Only what one of ``trusted`` has signed is believed; without any, everything."""

    signer: Signer | None = None
    trusted: tuple[Verifier, ...] = ()

    @property
    def scheme(self) -> int:
        """That of the signatures that are made here."""
        return UNSIGNED if self.signer is None else self.signer.scheme

    def sign(self, *parts: Bytes) -> bytes:
        """The signature of these parts by the signer; zeros where there is none."""
        return bytes(SIGNATURE_SIZE) if self.signer is None else self.signer.sign(*parts)

    def believes(self, scheme: int, signature: bytes, *parts: Bytes) -> bool:
        """Whether the parts may be used that have this signature, by this scheme."""
        of_scheme = (key for key in self.trusted if key.scheme == scheme)
        return not self.trusted or any(key.verifies(signature, *parts) for key in of_scheme)


NO_KEYS = Keyring()


def keyring(signing_key: Sequence[bytes], verify_keys: Sequence[bytes]) -> Keyring:
    """The keys of the two settings of these names, as ``secrets`` and ``public_keys`` give them."""
    signers = [_signer(secret) for secret in signing_key]
    return Keyring(signers[0] if signers else None, (*signers, *map(_public, verify_keys)))


def secrets(value: object) -> tuple[bytes, ...]:
    """What can sign, as it was written. Raises ValueError for anything else, SettingsError where a library is missing.

    ``value``: text or bytes, a list of these, or a text of several with commas between.
    """
    return _checked(value, _signer, _SECRETS)


def public_keys(value: object) -> tuple[bytes, ...]:
    """What only checks, as it was written. Raises as ``secrets`` does."""
    return _checked(value, _public, _PUBLIC_KEYS)


def new_pair() -> tuple[str, str]:
    """A new private key and its public one, as the settings take them. Raises SettingsError without cryptography."""
    private = _ed25519().Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return _written(_PRIVATE, private.private_bytes_raw()), _written(_PUBLIC, public)


def _checked(value: object, key_of: Callable[[bytes], Verifier], needs: str) -> tuple[bytes, ...]:
    if value is None:
        return ()
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    try:
        written = [key.strip().encode() if isinstance(key, str) else key for key in given]
        keys = tuple(key for key in written if isinstance(key, bytes))
        for key in keys:
            key_of(key)
    except SettingsError:
        raise
    except ValueError:
        raise ValueError(needs) from None
    if not keys or len(keys) < len(written):  # an empty list is more likely a mistake than a wish to have no key
        raise ValueError(needs)
    return keys


def _signer(secret: bytes) -> Signer:
    # However it is written: a key of a pair that is spelt wrong must not become a secret that others know.
    if not secret.lower().startswith(b"ed25519"):
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError("too short to be a secret")
        return HmacKey(secret)
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(_raw(_PRIVATE, secret))
    return PrivateKey(private.public_key(), private)


def _public(key: bytes) -> PublicKey:
    return PublicKey(_ed25519().Ed25519PublicKey.from_public_bytes(_raw(_PUBLIC, key)))


def _raw(prefix: bytes, key: bytes) -> bytes:
    """The bytes of an Ed25519 key that is written as text. Raises ValueError where it is none."""
    if not key.startswith(prefix):
        raise ValueError("not written as such an Ed25519 key is")
    raw = base64.b64decode(key.removeprefix(prefix), validate=True)
    if len(raw) != _ED25519_SIZE:
        raise ValueError("of another length than an Ed25519 key")
    return raw


def _written(prefix: bytes, raw: bytes) -> str:
    return (prefix + base64.b64encode(raw)).decode()


def _ed25519() -> Any:
    """cryptography's module of that name, loaded when there is such a key: most set-ups have none."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as missing:
        raise SettingsError(
            f"Ed25519 keys need cryptography, which can't be imported ({missing})."
            " Run: pip install 'chatterbox-cached[signing]'"
        ) from missing
    return ed25519
