"""The README and the pages in docs/ lead somewhere, leave nothing out, and show the code as it is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.accounting import bypasses
from chatterbox_cached.settings import PREFIX, Settings, variable_of
from docs.tools import own, rooms

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chatterbox_cached"
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md")),
    *sorted(DOCS.glob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
IN_CODE = re.compile(r"`([^`\n]+)`")
# Where the files are that the pages name: from the root on, or in the package from there on.
NAMED_FROM = {
    **dict.fromkeys(("tests", "docs", "benchmarks", "examples", "chatterbox_cached"), ROOT),
    **{folder.name: PACKAGE for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "__pycache__"},
}


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link may name after the #, as GitHub makes it of the headings."""
    headings = re.findall(r"^#{1,6} (.+?) *$", text_of(page), re.MULTILINE)
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).lower() for heading in headings]
    made = [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain]
    return {f"{one}-{made[:at].count(one)}" if one in made[:at] else one for at, one in enumerate(made)}


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in LINK.findall(IN_CODE.sub("", text_of(page))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"[a-z]+:|/", link) or not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_is_relative_and_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, c\n\n## A b c\n\n```\n# no heading [no](link)\n```\n`[no](link)` [here](#a-b-c) [again](#a-b-c-1)\n"
        "[gone](gone.md) [nowhere](#no-heading-nolink) [outside](https://host.example/page.md) [absolute](/page.md)\n"
    )
    assert dead_links(page) == [
        "gone.md",
        "#no-heading-nolink",
        "https://host.example/page.md",
        "/page.md",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = [code for code in IN_CODE.findall(text_of(page)) if re.fullmatch(r"\w+(/[\w.-]*)+", code)]
    known = [(name, NAMED_FROM[first]) for name in named if (first := name.partition("/")[0]) in NAMED_FROM]
    assert [name for name, folder in known if not (folder / name).exists()] == []


def test_every_page_is_in_the_index_and_in_the_site() -> None:
    index, site = (DOCS / "index.md").read_text(), (ROOT / "zensical.toml").read_text()
    names = [page.name for page in DOCS.glob("*.md") if page.name != "index.md"]
    assert [name for name in names if f"]({name})" not in index or f'"docs/{name}"' not in site] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


def test_the_counts_of_the_tests_stand_in_one_page_only() -> None:
    counts = re.findall(r"^\| .* \| ([^|]*\d[^|]*) \|$", text_of(DOCS / "reliability.md"), re.MULTILINE)
    assert len(counts) > 5
    elsewhere = {page.name: text_of(page) for page in PAGES if page.name != "reliability.md"}
    rows = [row for row in counts if any(f"| {row} |" in text for text in elsewhere.values())]
    assert rows == []


# Architecture


def test_the_figure_and_the_table_of_rooms_are_those_of_the_code() -> None:
    # Not compared by assert itself, which looks for the difference between two figures for minutes.
    stale = [file.name for file, text in rooms.made().items() if file.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def named_functions() -> list[str]:
    """The dotted names in docs/architecture.md that begin with a room or a module of the package."""
    roots = {path.stem for path in PACKAGE.iterdir()}
    dotted = re.findall(r"`(\w+(?:\.\w+)+)`", (DOCS / "architecture.md").read_text(encoding="utf-8"))
    return [name for name in dotted if name.partition(".")[0] in roots and not name.endswith(".py")]


def test_every_function_that_the_architecture_names_exists() -> None:
    names = named_functions()
    assert {"serving.voices.Serving.serve", "voice.key_format.key_of"} <= set(names)
    assert [name for name in names if not callable(resolve_name(f"chatterbox_cached.{name}"))] == []


def test_the_way_of_a_call_has_ten_steps_each_with_a_function() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    way = page.partition("## The way of one call\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. .*?(?=^\d+\. |\n\n|\Z)", way, re.DOTALL | re.MULTILINE)
    assert len(steps) == 10
    assert [step for step in steps if not set(IN_CODE.findall(step)) & set(named_functions())] == []


# Nothing is left out


def test_every_setting_is_in_the_table_of_settings() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = {name: f"| `{name}` | `..._{variable_of(name).removeprefix(PREFIX)}` |" for name in Settings._fields}
    assert [name for name, row in rows.items() if row not in page] == []


def test_every_key_of_the_statistics_is_explained() -> None:
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    assert [key for key in ConditionalCache().get_cache_stats() if f"| `{key}` |" not in page] == []


def test_every_method_of_the_cache_is_explained() -> None:
    page = (DOCS / "conditional-cache.md").read_text(encoding="utf-8")
    methods = {name for name, _ in inspect.getmembers(ConditionalCache, inspect.isfunction) if name[0] != "_"}
    assert [name for name in methods if f"`{name}(" not in page] == []


def test_every_public_name_is_in_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in chatterbox_cached.__all__ if not re.search(rf"\b{name}\b", text)] == []


def reasons() -> Iterator[str]:
    """Every reason that the package gives for going round the cache, or for not keeping a miss."""
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in {"Unidentifiable", "went_round", "bypass", "not_stored"}:
                given = named.get(ast.unparse(node.args[0]), node.args[0])
                branches = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
                yield from (str(each.value) for each in branches if isinstance(each, ast.Constant))


def test_every_reason_to_go_round_the_cache_is_explained() -> None:
    page = (DOCS / "identity.md").read_text(encoding="utf-8")
    given = set(reasons())
    assert {"disabled", "unexpected conditionals", "class is not cached"} <= given
    assert [reason for reason in sorted(given) if f"`{reason}`" not in page] == []


# Reported by upstream itself, asked for by the user, over the next time, or told of as a failure.
_SAY_NOTHING = {
    "audio can't be read", "audio changes while it is read", "audio changed during the preparation", "disabled",
    "switched off", "cache failed",
}  # fmt: skip
_SAY_IT_AT_ONCE = {
    "hooks on the encoders", "other weights", "model is in training mode", "weights are not in memory",
    "kept in this process only", "no key to sign with",
}  # fmt: skip


def test_for_every_reason_the_user_is_told_what_to_do_or_needs_not_be() -> None:
    assert set(reasons()) == {*bypasses._ADVICE, *_SAY_NOTHING, *_SAY_IT_AT_ONCE}


# The site


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.html", '<a href="https://host.example/">a link</a><img src="own.svg"><script src="own.js"></script>', []),
        ("a.html", '<svg xmlns="http://www.w3.org/2000/svg"></svg>', []),
        ("a.html", '<script src="https://host.example/a.js"></script>', ["<script src=https://host.example>"]),
        ("a.html", '<link rel="preconnect" href="//host.example">', ["<link href=//host.example>"]),
        ("a.html", "<img srcset='a.png 1x, https://host.example/a.png 2x'>", ["<img srcset=https://host.example>"]),
        ("a.html", "<style>@import '//host.example/a.css'</style>", ["<style>: //host.example"]),
        ("a.html", '<script>fetch("https://host.example/")</script>', ["<script>: https://host.example"]),
        ("a.html", '<pre class="mermaid"></pre>', ["<pre class=mermaid>"]),
        ("a.css", "a { background: url(own.svg) }", []),
        ("a.css", "a { background: url( 'https://host.example/a.svg') }", ["https://host.example"]),
    ],
)
def test_what_a_page_fetches_from_another_host_is_seen(
    name: str, text: str, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert own.outside(tmp_path / name) == expected
