"""``chatterbox-cached warm``: voices prepared before they are needed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...addresses import parsed
from ...cache import ConditionalCache
from ...library.warming import FAILED, PREPARED, THERE_ALREADY, Outcome, warm
from ...settings import folder_of, resolve
from ...tiers.disk.folder import let_all_read
from ..app import AMISS, INTERRUPTED
from ..common import CacheDir, Json, named, print_json, settings_for, settings_to_fill
from ..models import Checkpoint, Device, Model, ModelOption, heeding_ctrl_c, load, quietly
from ..preparing import AudioFiles, Lists, cache_for, files_of
from ..progress import shown
from ..workers import Order, Worker

if TYPE_CHECKING:
    from ..crew import Crew

Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Share the files out among N processes (else there is one), each with a model of its own. Each takes 1/N"
        " of the processor's cores, or of OMP_NUM_THREADS where that is set, and at least 1, as its number of threads."
        " That number can change the last bits of a voice: they are those that one process makes with OMP_NUM_THREADS"
        " set to it.",
    ),
]
OnRay = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Have workers on the nodes of this Ray cluster prepare the voices and put them into the shared store:"
        " auto, local, or host:port. Without --jobs there is one for each GPU, or else for each node. They are given"
        " the audio, and the store and the keys that are set here; the folder of a --checkpoint must be there, too.",
    ),
]


Into = Annotated[
    Path | None,
    typer.Option(
        "--into",
        metavar="FOLDER",
        parser=named,
        help="Keep the voices in this folder, which is to become a part of an image: all of them, also those that are"
        " kept elsewhere, and for every user to read.",
    ),
]


_What = tuple[Model, str | None, Path | None]  # the model, its device, and the folder of its weights


@dataclass
class _Done:
    """What came of it, by how many processes. ``lost``: what is to be said of those that could not go on."""

    outcomes: list[Outcome] = field(default_factory=list)
    device: str | None = None
    jobs: int = 1
    interrupted: bool = False
    lost: list[str] = field(default_factory=list)


def command(
    voices: AudioFiles = [],  # noqa: B006 - typer makes a new one
    lists: Lists = [],  # noqa: B006
    model: ModelOption = Model.english,
    device: Device = None,
    checkpoint: Checkpoint = None,
    jobs: Jobs = None,
    into: Into = None,
    cache_dir: CacheDir = None,
    ray: OnRay = None,
    as_json: Json = False,
) -> None:
    """Prepare voices before they are needed, as the model would at its first use of each.

    What is there already is not prepared again, and what is no audio, such as a transcript beside a clip, is passed
    over. A file that can't be prepared is listed at the end, and the other files are prepared all the same. Ctrl-C
    keeps what is done. The exaggeration does not matter: a voice serves all of them.

    Example: chatterbox-cached warm voices/ --model multilingual

    Example: chatterbox-cached warm voices/ --into /opt/voices

    Example: chatterbox-cached warm voices/ --ray auto
    """
    places = {"--into": into, "--cache-dir": cache_dir, "--ray": ray}
    given = [option for option, place in places.items() if place is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"give {given[0]} or {given[1]}, not both")
    files, passed_over = files_of(voices, lists)
    what = model, device, checkpoint
    if ray is None:
        done, where = _here(files, what, jobs or 1, into, cache_dir)
    else:
        done, where = _on_ray(files, what, jobs, ray)
    about = {**where, "model": model.value, "device": done.device, "jobs": done.jobs}
    _report(done, files, {**about, "passed_over": [str(path) for path in passed_over]}, as_json)


def _here(
    files: list[Path], what: _What, jobs: int, into: Path | None, cache_dir: Path | None
) -> tuple[_Done, dict[str, Any]]:
    """Prepare them on this machine; gives where they are as well."""
    from ..crew import Crew

    settings = settings_for(cache_dir) if into is None else settings_to_fill(into)
    cache = cache_for(settings, to_write=True)
    jobs = min(jobs, len(files))
    with quietly():
        if jobs == 1:
            done = _alone(cache, files, what)
        else:
            model, device, checkpoint = what
            order = Order(model.value, device, _text(checkpoint), _text(cache_dir), jobs, _text(into))
            done = _together(Crew(lambda: Worker(order), jobs, files), len(files))
    done.jobs = jobs
    if into is not None:
        let_all_read(folder_of(settings))
    return done, {"folder": str(settings.cache_dir)}


def _on_ray(files: list[Path], what: _What, jobs: int | None, address: str) -> tuple[_Done, dict[str, Any]]:
    """The same on the nodes of a cluster."""
    from .. import on_ray
    from ..crew import Crew

    model, device, checkpoint = what
    settings = on_ray.settings_on_nodes(resolve({}))
    with quietly(), on_ray.cluster(address):
        jobs, gpus = on_ray.workers_for(device, jobs)
        jobs = min(jobs, len(files))
        start = partial(on_ray.RayWorker, settings, model.value, device, _text(checkpoint), gpus)
        done = _together(Crew(start, jobs, files), len(files))
    done.jobs = jobs
    return done, {"shared": [parsed(store).label for store in settings.shared], "ray": address}


def _alone(cache: ConditionalCache, files: list[Path], what: _What) -> _Done:
    loaded = load(*what)
    done = _Done(device=str(loaded.device))
    try:
        for file in shown(files, "Preparing", len(files)):
            with heeding_ctrl_c():
                done.outcomes.append(warm(cache, loaded, file))
    except KeyboardInterrupt:
        done.interrupted = True
    finally:
        cache.close()
    return done


def _together(crew: Crew, count: int) -> _Done:
    done = _Done()
    try:
        for outcome in shown(crew.outcomes(), "Preparing", count):
            done.outcomes.append(outcome)
    except KeyboardInterrupt:
        crew.interrupt()
        done.interrupted = True
    finally:
        done.outcomes += crew.end()
    if crew.device is None:
        raise KeyboardInterrupt  # while the models were loaded, and there is nothing to tell
    done.device, done.lost = crew.device, crew.lost
    return done


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _report(done: _Done, files: list[Path], about: dict[str, Any], as_json: bool) -> None:
    became = {one.path: one for one in done.outcomes}
    outcomes = [became[file] for file in files if file in became]  # several processes end in no order
    prepared, already = (
        [str(one.path) for one in outcomes if one.became == each] for each in (PREPARED, THERE_ALREADY)
    )
    failed = {str(one.path): one.why for one in outcomes if one.became == FAILED}
    not_reached = [str(file) for file in files if file not in became]
    if as_json:
        found = {"prepared": prepared, "there_already": already, "failed": failed, "not_reached": len(not_reached)}
        print_json({**about, **found, "lost": done.lost})
    else:
        counts = f"{len(prepared)} prepared, {len(already)} there already, {len(failed)} failed"
        where = about.get("folder") or " and ".join(about["shared"])
        print(f"{counts}: {about['model']} on {about['device']}, in {where}")
    for path, why in failed.items():
        print(f"failed: {path}: {why}", file=sys.stderr)
    for said in done.lost:
        print(f"chatterbox-cached: {said}", file=sys.stderr)
    if done.interrupted:
        kept = len(prepared) + len(already)
        print(f"chatterbox-cached: interrupted; {kept} of {len(files)} voices are kept.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    for path in not_reached:
        print(f"not reached: {path}", file=sys.stderr)
    if failed or not_reached or done.lost:
        raise typer.Exit(AMISS)
