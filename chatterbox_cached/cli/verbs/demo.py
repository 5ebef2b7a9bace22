"""``chatterbox-cached demo``: what ``make demo`` runs."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from ...demo import demonstration, fleet
from ..app import AMISS
from ..common import Json, print_json
from ..models import Model, hush_libraries

Voice = Annotated[
    Path | None,
    typer.Option(
        "--voice",
        metavar="FILE",
        help="Reference audio; without it a clip is made up.",
        exists=True,
        dir_okay=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the sound is written.")]
OnDevice = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
OfModel = Annotated[Model, typer.Option("--model", help="Which model speaks.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="Show two workers that share a store instead, a Valkey of the demo's own.")
]


def command(
    voice: Voice = None,
    out: Out = Path("demo-output"),
    device: OnDevice = "cpu",
    model: OfModel = Model.english,
    shared: Shared = False,
    as_json: Json = False,
) -> None:
    """Hear and time the cache: four texts in one voice, without it and with it. For vc, four made-up clips.

    It compares the samples and writes the sound to files. It ends with 1 when the samples differ. With --json, what it
    is doing is said on stderr.

    Example: chatterbox-cached demo --voice anna.wav

    Example: chatterbox-cached demo --shared
    """
    hush_libraries()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        figures = (fleet if shared else demonstration).run(voice, out, device, model.value)
    if as_json:
        print_json(figures)
    if not figures["as_promised" if shared else "same"]:
        raise typer.Exit(AMISS)
