"""``chatterbox-cached demo``: what ``make demo`` runs. The demo reads its options itself, ``--help`` too."""

from __future__ import annotations

import typer

from .. import demo


def command(context: typer.Context) -> None:
    """Hear and time the cache.

    Example: chatterbox-cached demo --voice anna.wav
    """
    demo.quieten_others()
    raise typer.Exit(demo.main(context.args))
