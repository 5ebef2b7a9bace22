"""The command itself: which verbs there are, and how an error looks.

Exit codes: 0 done; 1 what was asked for could not be done, or not all of it, or something was found amiss; 2 wrong
usage; 130 interrupted. ``run`` ends with the exit code of the program that it ran.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import ChatterboxCachedError

AMISS = 1
# What follows a verb's own options belongs to another program, whatever it looks like.
REST_IS_THE_PROGRAMS = {"allow_interspersed_args": False, "ignore_unknown_options": True}
INTERRUPTED = 130


class Verb(NamedTuple):
    """A verb, implemented by the function ``command`` of the module ``module`` in this folder."""

    module: str
    summary: str
    settings: Mapping[str, Any] = MappingProxyType({})  # of the command, such as context_settings


# The verb reads all that comes after its name itself.
_ITS_OWN_OPTIONS = {
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
    "add_help_option": False,
}

VERBS: dict[str, Verb] = {
    "run": Verb("run", "Run a program, unchanged, with the cache on.", {"context_settings": REST_IS_THE_PROGRAMS}),
    "stats": Verb("stats", "Show what the cache did, in all processes that used this folder."),
    "ls": Verb("ls", "List the voices that are cached."),
    "show": Verb("show", "Show one voice and what made it."),
    "warm": Verb("warm", "Prepare voices before they are needed."),
    "verify": Verb("verify", "Prepare voices again and compare them with what is kept."),
    "rm": Verb("rm", "Remove voices."),
    "prune": Verb("prune", "Remove what is old or too much."),
    "clear": Verb("clear", "Remove all voices."),
    "check": Verb("check", "Find and repair damage."),
    "path": Verb("path", "Print the cache folder."),
    "export": Verb("export", "Write voices to a bundle (voices.cbv), or one to a voice.pt."),
    "import": Verb("import_", "Keep the voices of a bundle, or of a voice.pt."),
    "doctor": Verb("doctor", "Look whether everything is in order, and say what to do."),
    "demo": Verb("demo", "Hear and time the cache.", _ITS_OWN_OPTIONS),
}


class LazyVerbs(TyperGroup):
    """Lists the verbs from the table above, and loads only the one that is called."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(VERBS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        verb = VERBS.get(cmd_name)
        return verb and TyperCommand(cmd_name, help=verb.summary, rich_markup_mode=None)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in VERBS else command, rest

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's, which knows of no options
            raise


def load(name: str) -> Any:
    """The command of one verb."""
    verb = VERBS[name]
    module = import_module(f"{__package__}.{verb.module}")
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, **verb.settings)(module.command)
    return typer.main.get_command(single)


app = typer.Typer(cls=LazyVerbs, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"chatterbox-cached {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """See and keep the voices that are cached for Chatterbox TTS, and run programs with the cache on."""


def main() -> None:
    """Run the command line. An error is one line on stderr."""
    try:
        app(prog_name="chatterbox-cached")
    except (ChatterboxCachedError, OSError) as error:
        print(f"chatterbox-cached: {error}", file=sys.stderr)
        sys.exit(AMISS)
    except sqlite3.Error as error:
        advice = "Try again, or run: chatterbox-cached check"
        print(f"chatterbox-cached: The index of the cache folder can't be used ({error}). {advice}", file=sys.stderr)
        sys.exit(AMISS)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
