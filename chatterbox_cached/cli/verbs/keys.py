"""``chatterbox-cached keys``: a pair of keys, of which one signs entries and the other only checks them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ChatterboxCachedError
from ...settings import variable_of
from ...voice import signing

To = Annotated[
    Path | None,
    typer.Option("--to", metavar="FILE", help="Write the private key to this new file, for you alone to read."),
]


def command(to: To = None) -> None:
    """Make a pair of keys, so that machines that only read voices can check them and forge none.

    Machines that prepare voices sign them with the private key, and all others check them with the public one. Both
    are given as variables of the environment, as in a file for --env-file. Without --to the private key is printed
    too, and kept nowhere.

    Example: chatterbox-cached keys --to private.env
    """
    private, public = signing.new_pair()
    secret = (
        "# For machines that prepare voices. Whoever has it can sign: keep it secret.\n"
        f"{variable_of('signing_key')}={private}\n"
    )
    if to is None:
        print(secret, end="")
    else:
        _write(to, secret)
        print(f"# The private key, for machines that prepare voices, is in {to}.")
    print("# For machines that only read voices. It signs nothing, and need not be secret.")
    print(f"{variable_of('verify_keys')}={public}")


def _write(to: Path, secret: str) -> None:
    try:
        file = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ChatterboxCachedError(
            f"{to} is there already, and may hold a key that is in use, so it was left alone. Give another name."
        ) from None
    with open(file, "w", encoding="ascii") as opened:
        opened.write(secret)
