"""Every way to write where a Valkey is leads to it: names, databases, users, sockets and TLS, on a real server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.exceptions import ConnectionError as NoConnection

from benchmarks.servers import Valkey, running
from chatterbox_cached.tiers.shared.protocol import SharedTier
from chatterbox_cached.tiers.shared.stores import store_at

SECONDS = 20.0
KEY = f"v3/{'ab' * 32}/{'cd' * 32}"
PASSWORD = "p@ss/w#rd"
LOGIN = "someone:p%40ss%2Fw%23rd@"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short name, since the path of a socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Valkey]:
    with running(lambda: Valkey(unixsocket=folder / "sock")) as server:
        server.client().acl_setuser("someone", enabled=True, passwords=[f"+{PASSWORD}"], keys="*", commands=["+@all"])
        yield server


@pytest.fixture(scope="module")
def with_tls(folder: Path, server: Valkey) -> Iterator[int]:
    """A port at which the server, whose wheel has no TLS, is reached by TLS alone; its certificate is for 127.0.0.1."""
    _write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_take, args=(listening, context, server.port), daemon=True).start()
        yield listening.getsockname()[1]


def _write_certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a store")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))


def _take(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            caller, _ = listening.accept()
            threading.Thread(target=_serve, args=(caller, context, port), daemon=True).start()


def _serve(caller: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(caller, server_side=True) as inside,
        socket.create_connection(("127.0.0.1", port)) as server,
    ):
        threading.Thread(target=_pass_on, args=(inside, server), daemon=True).start()
        _pass_on(server, inside)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while told := one.recv(65_536):
            other.sendall(told)


def used(url: str, namespace: str) -> SharedTier:
    """The store at an address, after it has taken and given an entry."""
    tier = store_at(url, namespace, SECONDS, SECONDS)
    tier.put(KEY, bytes(200_000))
    assert tier.get(KEY) == bytes(200_000)
    return tier


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("valkey://127.0.0.1:{port}", 0),
        ("redis://127.0.0.1:{port}/1", 1),
        (f"valkey://{LOGIN}127.0.0.1:{{port}}/2", 2),
        ("unix://{folder}/sock", 0),
        ("unix://{folder}/sock?db=3", 3),
        (f"valkey+unix://{LOGIN}{{folder}}/sock?db=4", 4),
        ("valkeys://127.0.0.1:{tls}/5?ssl_ca_certs={folder}/certificate", 5),
        (f"rediss://{LOGIN}127.0.0.1:{{tls}}/6?ssl_ca_certs={{folder}}/certificate", 6),
    ],
)
def test_an_address_leads_to_its_database(
    url: str, database: int, server: Valkey, with_tls: int, folder: Path, tmp_path: Path
) -> None:
    tier = used(url.format(port=server.port, tls=with_tls, folder=folder), tmp_path.name)
    assert server.client(db=database).hexists(f"chatterbox-cached:{tmp_path.name}:v3/{'ab' * 32}", "cd" * 32)
    assert PASSWORD not in tier.name
    assert "p%40ss" not in tier.name
    tier.close()


def test_a_certificate_that_is_not_trusted_is_refused(with_tls: int, tmp_path: Path) -> None:
    with pytest.raises(NoConnection, match="CERTIFICATE_VERIFY_FAILED"):
        used(f"valkeys://127.0.0.1:{with_tls}/0", tmp_path.name)
