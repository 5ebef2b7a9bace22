"""``chatterbox-cached doctor``: whether everything is in order, and what to do."""

from __future__ import annotations

import shutil
import textwrap
from itertools import chain

import typer

from ..app import AMISS
from ..common import CacheDir, Json, print_json, settings_for
from ..diagnosis import Finding, diagnose
from ..shared_diagnosis import diagnose_shared

_MARGIN = 28


def command(cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Look whether everything is in order, and say "ready" or what to do.

    It imports Chatterbox, which takes some seconds, and keeps, reads and removes a scratch entry in every tier. Nothing
    that is kept is touched. Of the stores that machines share, it says what they are and what may be done there.

    Example: chatterbox-cached doctor
    """
    settings = settings_for(cache_dir)
    findings: list[Finding] = []
    for finding in chain(diagnose(settings), diagnose_shared(settings)):
        findings.append(finding)
        if not as_json:
            _print(f"{finding.what:<{_MARGIN - 1}} ", finding.found)
    to_do = [finding for finding in findings if finding.advice]
    if as_json:
        print_json(
            {
                "ready": not to_do,
                "findings": [finding._asdict() for finding in findings],
            }
        )
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
