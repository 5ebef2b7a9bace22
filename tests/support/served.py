"""The page as a process of its own, asked by HTTP."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.support.commands import COMMAND, process_in

BOUNDARY = "a-boundary"
Body = bytes | Iterator[bytes] | None  # what is sent by and by does not say its length


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Served:
    """A page that runs. ``address`` is the first line that it printed; ``cookie`` is what it gave for that."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process, self.address = process, process.stdout.readline().strip()
        parts = urlsplit(self.address)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.origin = f"http://{parts.netloc}"
        self.cookie = ""

    def come_in(self) -> Served:
        """Open the address as a browser does."""
        jar = SimpleCookie(self.ask(self.address.removeprefix(self.origin)).headers["Set-Cookie"])
        self.cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
        return self

    def ask(self, path: str, method: str = "GET", body: Body = None, **headers: str | None) -> Answer:
        """One request, with the cookie; ``Header_Name="value"`` adds a header, and None leaves one out."""
        usual = {"Cookie": self.cookie, **({} if method == "GET" else {"Origin": self.origin})}
        given = {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, body, {name: value for name, value in given.items() if value is not None})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def send(self, path: str, **fields: str) -> Answer:
        """Send a form."""
        kind = "application/x-www-form-urlencoded"
        return self.ask(path, "POST", urlencode(fields).encode(), Content_Type=kind)

    def upload(self, files: Mapping[str, bytes], **fields: str) -> Answer:
        """Send the form that adds voices."""
        parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
        parts += [(f'name="files"; filename="{name}"', content) for name, content in files.items()]
        body = b"".join(
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
            for head, content in parts
        )
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("/add", "POST", body + f"--{BOUNDARY}--\r\n".encode(), Content_Type=kind)


@contextlib.contextmanager
def page_in(folder: Path, environment: Mapping[str, str], *options: str | Path) -> Iterator[Served]:
    """The installed command, with this browser opened to none."""
    arguments = [COMMAND, "page", "--no-browser", *options]
    with process_in(folder, arguments, environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with process.stdout:
            yield Served(process).come_in()
