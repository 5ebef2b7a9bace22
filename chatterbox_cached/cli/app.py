"""The command itself: which verbs there are, and how an error looks.

Exit codes: 0 done; 1 what was asked for could not be done, or not all of it, or something was found amiss; 2 wrong
usage; 130 interrupted. ``run`` ends with the exit code of the program that it ran.
Every error, of usage too, is one line on stderr that says what to do.
"""

from __future__ import annotations

import io
import os
import sqlite3
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import ChatterboxCachedError
from ..settings import METRICS_PORT

AMISS, WRONG_USAGE, INTERRUPTED = 1, 2, 130
# What follows a verb's own options belongs to another program, whatever it looks like.
REST_IS_THE_PROGRAMS = {"allow_interspersed_args": False, "ignore_unknown_options": True}
# typer has its own or click's, by its version, and no name for it.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


class Verb(NamedTuple):
    """A verb, implemented by the function ``command`` of the module ``module`` in ``verbs``."""

    module: str
    summary: str
    settings: Mapping[str, Any] = MappingProxyType({})  # of the command, such as context_settings


VERBS: dict[str, Verb] = {
    "run": Verb("run", "Run a program, unchanged, with the cache on.", {"context_settings": REST_IS_THE_PROGRAMS}),
    "stats": Verb("stats", "Show what the cache did, in all processes that used this folder."),
    "report": Verb("report", "Write what the cache saved as a page, for a mail or a build."),
    "ls": Verb("ls", "List the voices that are cached."),
    "show": Verb("show", "Show one voice and what made it."),
    "warm": Verb("warm", "Prepare voices before they are needed."),
    "verify": Verb("verify", "Prepare voices again and compare them with what is kept."),
    "voices": Verb("voices", "Give voices names, and speak with voice:NAME."),
    "rm": Verb("rm", "Remove voices."),
    "lift": Verb("lift", "Let machines keep what was forgotten on all of them."),
    "prune": Verb("prune", "Remove what is old or too much."),
    "clear": Verb("clear", "Remove all voices."),
    "check": Verb("check", "Find and repair damage."),
    "path": Verb("path", "Print the cache folder."),
    "export": Verb("export", "Write voices to a bundle (voices.cbv), or one to a voice.pt."),
    "import": Verb("import_", "Keep the voices of a bundle, or of a voice.pt."),
    "keys": Verb("keys", "Make a pair of keys to sign and to check entries."),
    "doctor": Verb("doctor", "Look whether everything is in order, and say what to do."),
    "page": Verb("page", "Show voices, savings and settings in a browser."),
    "demo": Verb("demo", "Hear and time the cache."),
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


def load(name: str) -> Any:
    """The command of one verb."""
    verb = VERBS[name]
    module = import_module(f"{__package__}.verbs.{verb.module}")
    if isinstance(module.command, typer.Typer):  # a verb with verbs of its own
        group = typer.main.get_command(module.command)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, **verb.settings)(module.command)
    return typer.main.get_command(single)


app = typer.Typer(cls=LazyVerbs, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"chatterbox-cached {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """See and keep the voices that are cached for Chatterbox TTS, and run programs with the cache on."""
    if context.invoked_subcommand != "run":
        os.environ.pop(METRICS_PORT, None)  # it is the program's that speaks, and what is done here would take it
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(WRONG_USAGE)


def main() -> None:
    """Run the command line. An error is one line on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what it can't show must not stop what is being done
    try:
        sys.exit(app(prog_name="chatterbox-cached", standalone_mode=False))
    except ChatterboxCachedError as error:
        _end(AMISS, str(error))
    except OSError as error:
        _end(AMISS, _said_by_the_system(error))
    except sqlite3.Error as error:
        advice = "Try again, or run: chatterbox-cached check"
        _end(AMISS, f"The index of the cache folder can't be used ({error}). {advice}")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except _UsageError as error:
        _end(WRONG_USAGE, _usage(error))


def _end(code: int, message: str) -> NoReturn:
    print(f"chatterbox-cached: {message}", file=sys.stderr)
    sys.exit(code)


def _said_by_the_system(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)  # one of our own
    if isinstance(error, FileNotFoundError):
        return f"There is no file {error.filename}."
    return f"{error.filename} can't be used ({error.strerror})."


def _usage(error: Any) -> str:
    """What is wrong with the usage, and where to read how it goes."""
    message = " ".join(error.format_message().removeprefix("Invalid value: ").replace("Value error, ", "").split())
    command = error.ctx.command_path if error.ctx else "chatterbox-cached"
    return f"{message[:1].upper()}{message[1:].rstrip('.')}. See: {command} --help"
