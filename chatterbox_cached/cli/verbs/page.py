"""``chatterbox-cached page``: the library in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from ...errors import ChatterboxCachedError
from ..common import CacheDir, settings_for
from ..models import Checkpoint, Device, Model, load, quietly

_NEEDS = ("jinja2", "numpy", "python_multipart", "starlette", "uvicorn")
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it listens; 0 for any port that is free.")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Whether the browser is opened.")]
Host = Annotated[str, typer.Option("--host", help="The address to listen at; other machines need a password.")]
Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="PASSWORD",
        envvar="CHATTERBOX_CACHED_PAGE_PASSWORD",
        show_default=False,
        help="Lets in who knows it, besides the address; better in the variable, where no other user sees it.",
    ),
]
Edit = Annotated[bool, typer.Option("--edit", help="Let voices be added, changed, forgotten and carried away.")]
WithModel = Annotated[
    Model | None, typer.Option("--model", help="Load this model, to try a line and to prepare what is added.")
]


def command(
    port: Port = 0,
    browser: Browser = True,
    host: Host = "127.0.0.1",
    password: Password = None,
    edit: Edit = False,
    model: WithModel = None,
    device: Device = None,
    checkpoint: Checkpoint = None,
    cache_dir: CacheDir = None,
) -> None:
    """Show the voices, what keeping them has saved, and the settings, as a page in the browser.

    Its address is the first line on stdout, and whoever has it can see all of this. Only this machine can reach it,
    and nothing can be changed, unless you say so. It ends on Ctrl-C. It needs the extra: pip install
    "chatterbox-cached[page]".

    Example: chatterbox-cached page --edit --model english
    """
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise ChatterboxCachedError(f"The page needs {', '.join(missing)}. Run: pip install 'chatterbox-cached[page]'")
    from ...page import app, server

    def loaded() -> Any:
        assert model is not None
        with quietly():
            return load(model, device, checkpoint)

    options = server.Options(host, port, password, edit, browser)
    given = app.Given(settings_for(cache_dir), () if cache_dir is None else ("cache_dir",))
    server.run(given, options, model and model.value, loaded)
