"""Who is let in, and from where."""

from __future__ import annotations

import re
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, process_in
from tests.support.served import Served
from tests.support.shelves import Open, Shelf

PASSWORD = "a password of mine"


def test_the_first_line_is_an_address_that_lets_in(open_page: Open) -> None:
    served = open_page()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", served.address)
    assert served.ask("/").status == 200


@pytest.mark.parametrize("cookie", ["", "chatterbox_cached=x", "%s=x", ";;=", "%s"])
def test_nobody_else_is_let_in(open_page: Open, cookie: str) -> None:
    served = open_page()
    name = served.cookie.partition("=")[0]
    for path in ("/", "/savings", "/settings", "/nothing", "/?token=", "/?token=wrong", "/page.js"):
        answer = served.ask(path, Cookie=cookie.replace("%s", name))
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers


def test_the_cookie_is_for_this_site_alone_and_for_no_script(open_page: Open) -> None:
    served = open_page()
    cookie = served.ask(served.address.removeprefix(served.origin)).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert served.address.partition("token=")[2] not in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "", "[", "192.168.1.7"])
def test_a_name_that_a_site_points_here_is_refused(open_page: Open, host: str) -> None:
    served = open_page()
    assert served.ask("/", Host=host).status == 403
    assert served.ask(served.address.removeprefix(served.origin), Host=host).status == 403


def test_a_tunnel_from_another_port_is_let_in(open_page: Open) -> None:
    served = open_page()
    assert served.ask("/", Host="localhost:9000").status == 200
    assert served.ask("/", Host="localhost:9000", Origin="http://localhost:9000").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1", "null", ""])
def test_another_site_is_refused_whatever_it_asks(open_page: Open, origin: str) -> None:
    served = open_page("--edit")
    assert served.ask("/", Origin=origin).status == 403
    assert served.ask("/add", "POST", b"", Origin=origin).status == 403
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "YQ==",
        "Sec_WebSocket_Version": "13",
    }
    assert served.ask("/", Origin=origin, **upgrade).status == 403


def test_a_change_without_an_origin_is_refused(open_page: Open) -> None:
    assert open_page("--edit").ask("/add", "POST", b"", Origin=None).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_link_here_but_show_nothing_of_it(open_page: Open, site: str) -> None:
    served = open_page()
    assert served.ask("/picture/x", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
    assert served.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200
    headers = served.ask("/").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


def test_the_page_allows_itself_nothing_of_another_host(open_page: Open) -> None:
    served = open_page("--edit")
    assert served.ask("/").headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    for path in ("/", "/savings", "/tiers", "/settings", "/page.css", "/page.js"):
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", served.ask(path).text)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/static/page.css", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd",
        "/named/..%2f..%2fetc%2fpasswd/audio", "/cached/..%2f..", "//etc/passwd", "/templates/base.html",
        "/page.css%00", "/file=/etc/passwd", "/gradio_api/file=/etc/passwd",
    ],
)  # fmt: skip
def test_no_file_of_the_machine_can_be_fetched(open_page: Open, path: str) -> None:
    answer = open_page().ask(path)
    assert answer.status == 404
    assert b"root:" not in answer.body


def test_a_picture_of_what_is_not_there_is_none(open_page: Open) -> None:
    answer = open_page().ask("/picture/..%2f..%2fetc%2fpasswd")
    assert answer.status in (200, 404)
    assert b"root:" not in answer.body


def _ended(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "page", "--no-browser", *options], capture_output=True, text=True, timeout=60)


def test_other_machines_are_served_with_a_password_only() -> None:
    done = _ended("--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "give a password" in done.stderr
    short = _ended("--host", "0.0.0.0", "--password", "short")
    assert (short.returncode, short.stdout) == (1, "")


def test_whoever_knows_the_password_is_let_in(open_page: Open) -> None:
    served = open_page(CHATTERBOX_CACHED_PAGE_PASSWORD=PASSWORD)
    token_cookie, served.cookie = served.cookie, ""
    assert "password" in served.ask("/").text
    began = time.monotonic()
    assert served.send("/enter", password="another").status == 401
    assert time.monotonic() - began > 0.9  # none may be tried faster
    assert served.send("/enter", wrong="form").status == 401
    answer = served.send("/enter", password=PASSWORD)
    assert answer.status == 303
    assert answer.headers["Set-Cookie"].partition(";")[0] == token_cookie


def test_a_page_for_other_machines_is_asked_for_by_addresses_and_own_names(open_page: Open) -> None:
    served = open_page("--host", "0.0.0.0", "--password", PASSWORD)
    for host in ("192.168.1.7:80", "[fe80::1]", socket.gethostname(), "localhost"):
        assert served.ask("/", Host=host).status == 200
    assert served.ask("/", Host="evil.example").status == 403


def test_without_a_password_none_is_taken(open_page: Open) -> None:
    served = open_page()
    served.cookie = ""
    assert served.send("/enter", password="").status == 401


def test_the_browser_is_given_a_code_that_works_once(shelf: Shelf, environment: dict[str, str], tmp_path: Path) -> None:
    told, browser = tmp_path / "told", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {told}.part && mv {told}.part {told}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    own = {**environment, "BROWSER": f"{browser} %s"}
    with process_in(tmp_path, [COMMAND, "page", *shelf.options], own, stdout=subprocess.PIPE) as process:
        served = Served(process)
        assert process.stdout is not None
        process.stdout.close()
        deadline = time.monotonic() + 30
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        path = told.read_text().removeprefix(served.origin)
        assert path.startswith("/?token=")
        assert told.read_text() != served.address
        assert served.ask(path).status == 200
        assert served.ask(path).status == 401


def test_a_form_that_is_too_large_is_not_read(open_page: Open) -> None:
    served = open_page("--edit")
    assert (
        served.ask(
            "/add", "POST", b"x", Content_Length="100000001", Content_Type="multipart/form-data; boundary=b"
        ).status
        == 413
    )
    large = b"a=" + b"x" * 70_000
    kind = "application/x-www-form-urlencoded"
    assert served.ask("/enter", "POST", large, Cookie="", Content_Type=kind).status == 400
    in_chunks = iter([large[:40_000], large[40_000:]])
    assert served.ask("/enter", "POST", in_chunks, Cookie="", Content_Type=kind).status == 400
    assert served.send("/named/x/rename", name="y" * 70_000).status in (404, 413)
    assert served.ask("/").status == 200
