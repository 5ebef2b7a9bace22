"""Whether a built site brings all that it needs: ``python -m docs.tools.own site``. Ends with 1 where it does not."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_OUTSIDE = re.compile(r"(?:https?:)?//[\w.-]+", re.IGNORECASE)
_IN_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[\w.-]+)", re.IGNORECASE)
_NOT_FETCHED = {("a", "href"), ("svg", "xmlns"), ("svg", "xmlns:xlink")}
# For elements of these classes the theme's script fetches another one from elsewhere.
_FETCHED_FOR = {"mermaid", "glightbox", "pyodide"}


class _Page(HTMLParser):
    """Collects what a page has a browser fetch from another host; a link is fetched only when the reader follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attributes:
            if name == "class":
                self.found += [f"<{tag} class={each}>" for each in (value or "").split() if each in _FETCHED_FOR]
            elif (tag, name) not in _NOT_FETCHED and (host := _OUTSIDE.search(value or "")):
                self.found.append(f"<{tag} {name}={host[0]}>")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += [f"<style>: {host}" for host in _IN_CSS.findall(data)]
        elif self._inside == "script":
            self.found += [f"<script>: {host}" for host in re.findall(r"https?://[\w.-]+", data)]


def outside(file: Path) -> list[str]:
    """What this HTML or CSS file has a browser fetch from another host."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".css":
        return _IN_CSS.findall(text)
    page = _Page()
    page.feed(text)
    return page.found


def everything(site: Path) -> Iterator[str]:
    """The same of all files of a site, a line each."""
    for file in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        for found in outside(file):
            yield f"{file}: {found}"


if __name__ == "__main__":
    sys.exit("\n".join(everything(Path(sys.argv[1]))) or 0)
