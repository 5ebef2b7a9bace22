"""How the page looks: at a desk and on a phone, in the light and in the dark, with 5,000 voices."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.demo.rehearsal import reference_clip
from tests.support.browser import DESK, PHONE, until
from tests.support.served import Served
from tests.support.shelves import Open, Shelf

SECONDS_TO_OPEN = 2.0
LOOKS = pytest.mark.parametrize(
    ("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]
)
# The least contrast, by WCAG 2, of all texts with what is behind them; and what has a text that is shown.
_CONTRAST = """() => {
  const parsed = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parsed(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return parsed(getComputedStyle(document.documentElement).backgroundColor);
  };
  let least = 21, seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const said = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!said || !element.checkVisibility()) continue;
    const [one, other] = [light(parsed(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    least = Math.min(least, (one + 0.05) / (other + 0.05));
    seen += 1;
  }
  return [least, seen];
}"""


def _look(page: Any, name: str) -> None:
    """Keep a picture for who wants to look, where they have said so."""
    if folder := os.environ.get("PAGE_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@LOOKS
def test_everything_fits_and_can_be_read(
    open_page: Open, shelf: Shelf, tmp_path: Path, visit: Any, size: dict[str, int], scheme: str
) -> None:
    shelf.voices.add("a" * 64, reference_clip(tmp_path / "a.wav", seconds=1), keep_audio=True, description="long " * 99)
    shelf.voices.choose("a" * 64)
    (digest,) = shelf.cached(f"{'very-long-name-' * 12}.wav")
    visited = visit(open_page("--edit"), size, scheme)
    paths = ["/", "/savings", "/tiers", "/settings", "/nothing", f"/cached/{digest}", "/named/" + "a" * 64]
    visited.complaints.clear()
    for path in [*paths, "/named/" + "a" * 64 + "/forget"]:
        page = visited.go(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        contrast, texts = page.evaluate(_CONTRAST)
        assert texts > 5
        assert contrast >= 4.5, path
        _look(page, f"{re.sub('a{9,}|[^a-z]', '', path)[:12] or 'voices'}-{size['width']}-{scheme}")
    visited.complaints.clear()  # of /nothing


@LOOKS
def test_it_opens_with_5000_voices_in_time(many_served: Served, visit: Any, size: dict[str, int], scheme: str) -> None:
    visited = visit(many_served, size, scheme)
    took = []
    for _ in range(3):
        began = time.monotonic()
        page = visited.go("/")
        page.wait_for_selector(".voices tbody tr:nth-child(50)")
        until(page, "[...document.images].filter((image) => image.naturalWidth === 192).length >= 3")
        took.append(time.monotonic() - began)
    assert min(took) < SECONDS_TO_OPEN
    _look(page, f"many-{size['width']}-{scheme}")


def test_5000_voices_are_searched_and_sorted_while_typing(many_served: Served, visit: Any) -> None:
    page = visit(many_served).page
    page.get_by_label("Search voices").fill("ben 00")
    page.get_by_text("of 5,000 voices").wait_for()
    assert {name[:6] for name in page.locator("td.name a").all_inner_texts()} == {"ben 00"}
    page.get_by_label("Sort by").select_option("name")
    page.wait_for_url("**sort=name**")
    names = page.locator("td.name a").all_inner_texts()
    assert names == sorted(names)
    page.get_by_label("Search voices").fill("")
    page.get_by_text("Page 1 of 100").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Page 2 of 100").wait_for()
    page.get_by_role("link", name="Hits").click()
    assert page.get_by_role("columnheader", name="Hits").get_attribute("aria-sort") == "descending"
