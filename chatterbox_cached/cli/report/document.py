"""The whole file."""

from __future__ import annotations

import time

from ...figures import moment
from ...library.savings import Savings
from . import sections
from .markup import name, text
from .style import STYLE

GENERATOR = '<meta name="generator" content="chatterbox-cached report">'
# A browser then runs and fetches nothing, whatever got into a name.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_TITLE = "What the voice cache saved"
_OFF = "The cache is switched off: with CHATTERBOX_CACHED_DISABLE every call goes to upstream."
_NOTHING = (
    "Nothing has been counted in this folder yet. Programs count here once they run with the cache on:"
    " <code>chatterbox-cached run -- python your_program.py</code>"
)


def document(savings: Savings, version: str) -> str:
    """The report in HTML, of ASCII alone, so that it reads the same in whatever encoding a mail is said to be."""
    whole = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{_body(savings)}"
        f"<footer>Made by chatterbox-cached {text(version)} on {text(moment(savings.looked_at))}. Times are those of"
        f" this machine ({text(time.strftime('%Z'))}), days those of UTC.</footer>\n</body>\n</html>\n"
    )
    return whole.encode("ascii", "xmlcharrefreplace").decode()


def _body(savings: Savings) -> str:
    until = moment(savings.looked_at)
    period = f"until {until}" if savings.since is None else f"from {moment(savings.since)} until {until}"
    off = f'<p class="warn">{_OFF}</p>\n' if savings.switched_off else ""
    head = f'<header>\n<h1>{_TITLE}</h1>\n<p class="dim">In {name(savings.cache_dir)}, {text(period)}</p>\n{off}'
    if savings.since is None:
        shown = [f"<p>{_NOTHING}</p>\n</header>\n<main>\n", sections.tiers(savings), sections.settings(savings)]
    else:
        shown = [f"{sections.tiles(savings)}</header>\n<main>\n", *(part(savings) for part in sections.ALL)]
    return "".join([head, *shown, "</main>\n"])
