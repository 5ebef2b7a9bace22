"""``chatterbox-cached doctor``: whether everything is in order, and what to do."""

from __future__ import annotations

import shutil
import textwrap

import typer

from ..app import AMISS
from ..common import CacheDir, Json, print_json, settings_for
from ..diagnosis import Finding, diagnose

_MARGIN = 28


def command(cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Look whether everything is in order, and say "ready" or what to do.

    It imports Chatterbox, which takes some seconds, and keeps, reads and removes a scratch entry in every tier. Nothing
    that is kept is touched.

    Example: chatterbox-cached doctor
    """
    findings: list[Finding] = []
    for finding in diagnose(settings_for(cache_dir)):
        findings.append(finding)
        if not as_json:
            _print(f"{finding.what:<{_MARGIN - 1}} ", finding.found)
    to_do = [finding for finding in findings if finding.advice]
    if as_json:
        print_json({"ready": not to_do, "findings": [finding._asdict() for finding in findings]})
    elif to_do:
        print("\nnot ready. To do:")
        for finding in to_do:
            _print("- ", f"{finding.what}: {finding.advice}")
    else:
        print("\nready")
    if to_do:
        raise typer.Exit(AMISS)


def _print(first: str, text: str) -> None:
    width = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(
        width, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False, break_on_hyphens=False
    )
    print(wrapper.fill(text), flush=True)
