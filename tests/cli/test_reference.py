"""The page of the command line is the real help."""

from __future__ import annotations

from chatterbox_cached.cli.app import VERBS
from chatterbox_cached.cli.reference import page
from tests.support.commands import REPOSITORY


def test_the_page_is_what_the_help_says() -> None:
    written = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
    made = page()
    assert written == made, "run `make docs`"
    assert all(len(line) <= 80 for part in made.split("```")[1::2] for line in part.splitlines())
    for verb in VERBS:
        (section,) = [part for part in made.split("\n## ") if part.startswith(f"{verb}\n")]
        assert "\nExample: " in section.replace("\n  ", "\n")
