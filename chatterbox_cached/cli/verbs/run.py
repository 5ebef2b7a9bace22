"""``chatterbox-cached run``: a program as it is, with the cache on in it and in every Python that it starts.

The environment says that the cache is to be on, and ``chatterbox_cached.pth`` makes every Python look there. So there
is nothing to do here but to become the program.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import site
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ... import patching
from ...accounting import metrics
from ...accounting.tally import Report
from ...errors import ChatterboxCachedError, SettingsError
from ...patching.autostart import REPORT
from ...settings import METRICS_ADDRESS, METRICS_PORT, SWITCH, resolve, variable_of
from ..common import CacheDir, settings_for
from ..pythons import warn_of_another_python
from ..supervise import end_as, run_to_end


def _checked(action: str | None) -> str | None:
    try:
        return action and resolve({"on_mismatch": action}).on_mismatch
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def command(
    program: Annotated[
        list[str], typer.Argument(metavar="PROGRAM", help="SCRIPT, -m MODULE or -- COMMAND, with arguments.")
    ],
    cache_dir: CacheDir = None,
    on_mismatch: Annotated[
        str | None,
        typer.Option(metavar="ACTION", callback=_checked, help="The exaggeration guard: warn, error, follow or off."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Have the program answer Prometheus at this port."),
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="And at this address, instead of 127.0.0.1.")
    ] = None,
    stats: Annotated[bool, typer.Option("--stats", help="At the end, say on stderr what the cache did.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Run a program, unchanged, with the cache on in it and in every Python process that it starts.

    It ends with the program's exit code. Options stand before the program.

    Example: chatterbox-cached run --stats script.py --voice narrator.wav
    """
    settings = settings_for(cache_dir)  # what is impossible is said here and not by the program
    arguments = _command_line(program)
    if metrics_port is not None and arguments[0] == sys.executable:  # what another Python lacks it says itself
        metrics.need_client()
    environment = _environment(
        {
            variable_of("cache_dir"): cache_dir and settings.cache_dir,  # the program may go to another folder
            variable_of("on_mismatch"): on_mismatch,
            METRICS_PORT: metrics_port,
            METRICS_ADDRESS: metrics_address,
        }
    )
    try:
        if stats or as_json:
            end_as(_attend_and_report(arguments, environment, as_json))
        elif os.name == "nt":
            end_as(run_to_end(arguments, environment))
        else:
            _become(arguments, environment)
    except OSError as error:
        raise ChatterboxCachedError(f"{arguments[0]} can't be started ({error.strerror}).{_advice(error)}") from None


def _advice(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return " Is it installed, and on PATH?"
    if isinstance(error, PermissionError):
        return " Make it executable (chmod +x) or, if it is a Python script, leave out the --."
    return ""


def _command_line(program: list[str]) -> list[str]:
    # click takes the "--" away, which is what tells a command from a script.
    if sys.argv[-len(program) - 1] == "--":
        warn_of_another_python(program[0])
        return program
    if program[0].startswith("-") and program[0] not in ("-", "-m"):
        raise typer.BadParameter(f"{program[0]} is no option of run. For options of Python: run -- python {program[0]}")
    if not os.path.exists(program[0]) and shutil.which(program[0]):
        command = shlex.join(program)
        raise typer.BadParameter(f"There is no file {program[0]}. For a command: chatterbox-cached run -- {command}")
    return [sys.executable, *program]


def _environment(chosen: Mapping[str, object]) -> dict[str, str]:
    given = {name: str(value) for name, value in chosen.items() if value is not None}
    environment = {**os.environ, **given, SWITCH: "1"}
    if not _is_installed():
        startup = str(Path(patching.__file__).parent / "startup")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (startup, os.environ.get("PYTHONPATH"))))
    return environment


def _is_installed() -> bool:
    """Whether every start of this Python reads our .pth."""
    folders = [*site.getsitepackages(), site.getusersitepackages() if site.ENABLE_USER_SITE else ""]
    return any(os.path.exists(os.path.join(folder, "chatterbox_cached.pth")) for folder in folders if folder)


def _become(arguments: list[str], environment: dict[str, str]) -> None:
    """Replace this process by the program: same process id, so signals, stdin and the exit code are its own."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and what is ignored stays so in another program
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execvpe(arguments[0], arguments, environment)


def _attend_and_report(arguments: list[str], environment: dict[str, str], as_json: bool) -> int:
    # A process that outlives the program may be writing there still.
    with TemporaryDirectory(prefix="chatterbox-cached-", ignore_cleanup_errors=True) as folder:
        status = run_to_end(arguments, {**environment, REPORT: folder})
        report = Report(folder)
    print(json.dumps(report.figures()) if as_json else report, file=sys.stderr, flush=True)
    return status
