"""The sizes of windows that the page is tried at, and how the tests wait for the browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def until(page: Page, expression: str) -> None:
    """Wait for this to be true. The browser's own waiting needs ``eval``, which the page is not allowed."""
    deadline = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)
