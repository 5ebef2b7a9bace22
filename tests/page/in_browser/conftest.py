"""The real browser: the Chromium that is installed, which can reach nothing but this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.browser import DESK
from tests.support.served import Served

_QUIET = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
_INSTALL = "The page is tried in Chromium, and there is none. Install it (on Debian: apt-get install chromium), or name"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
expect.set_options(timeout=60_000)  # on a busy machine with a model


def _chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail(f"{_INSTALL} one in CHROMIUM.", pytrace=False)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=[*_QUIET, *as_root])
        yield chromium
        chromium.close()


class Visit:
    """A page in the browser, with all that it asked for and complained of."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.page: Page = context.new_page()
        self.served, self.asked, self.complaints = served, list[str](), list[str]()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.goto(served.address)
        self.page.wait_for_url(f"{served.origin}/")

    def go(self, path: str) -> Page:
        self.page.goto(self.served.origin + path)
        return self.page

    def strangers(self) -> list[str]:
        """What it asked of anyone else."""
        return [url for url in self.asked if not url.startswith((self.served.origin, "blob:"))]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Any]:
    """``visit(served, PHONE, "dark")``: the page as its user sees it; in the end, nothing strange has happened."""
    with contextlib.ExitStack() as opened:
        visits: list[Visit] = []

        def visit(served: Served, size: dict[str, int] = DESK, scheme: Any = "light") -> Visit:
            context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)  # type: ignore[arg-type]
            opened.callback(context.close)
            visits.append(Visit(context, served))
            return visits[-1]

        yield visit
        for each in visits:
            assert each.strangers() == []
            assert each.complaints == []
