"""What is to be reached, and whether it is: each line with the figure that it is about, from one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Parts = dict[str, Any]


class Target(NamedTuple):
    """``measured`` gives the figure from a run's parts, to be at most ``most``; ``beside`` is what it stands by.

    ``why`` says what stands in the way where it is not reached.
    """

    what: str
    wanted: str
    most: float
    unit: str
    measured: Callable[[Parts], float]
    beside: Callable[[Parts], str]
    why: str = ""


def _of(parts: Parts, *path: str) -> float:
    found: Any = parts
    for name in path:
        found = found[name]
    return float(found["median"])


def _memory(name: str) -> Callable[[Parts], float]:
    return lambda parts: _of(parts, "memory_hit", "10 s", name)


def _disk(name: str) -> Callable[[Parts], float]:
    return lambda parts: _of(parts, "disk_hit", "10 s", name)


def _miss(parts: Parts) -> float:
    """The least favourable of all lengths of clip."""
    return max(each["enable()"]["median"] / each["upstream alone"]["median"] for each in _by_clip(parts["miss"]))


def _by_clip(part: Parts) -> list[Any]:
    return [figures for name, figures in part.items() if name.endswith(" s")]


def _threads(parts: Parts) -> float:
    alone = _of(parts, "threads", "1 threads, a model each")
    return _of(parts, "threads", "8 threads, a model each") / alone


def _floor_of_memory(parts: Parts) -> str:
    names = ("os.stat", "a call through wrapt", "small clone")
    return ", ".join(f"{name} {_memory('floor: ' + name)(parts):.1f}" for name in names)


def _over_stat_and_clones(parts: Parts) -> float:
    return _memory("enable()")(parts) / _floor_of_seven(parts)


def _floor_of_seven(parts: Parts) -> float:
    return _memory("floor: os.stat")(parts) + 7 * _memory("floor: small clone")(parts)


def _encoders(row: str) -> Callable[[Parts], float]:
    return lambda parts: _of(parts, "encoders", "10 s", row)


def _worst_miss(parts: Parts) -> float:
    """The least favourable of all classes."""
    return max(each["miss"]["median"] / each["upstream alone"]["median"] for each in _kinds(parts))


def _kinds(parts: Parts) -> list[Any]:
    return [each for each in parts["families"].values() if isinstance(each, dict)]


def _first(parts: Parts) -> float:
    return _of(parts, "first_hit", "enable()")


def _read(parts: Parts) -> float:
    return _of(parts, "first_hit", "floor: one read of the weights")


def _over_bare(parts: Parts, name: str) -> float:
    return _of(parts, "start", name) - _of(parts, "start", "bare Python")


def _grown(parts: Parts) -> float:
    return _of(parts, "growth", "any voice of 10000") / _of(parts, "growth", "any voice of 10")


def _over_disk(parts: Parts, store: str) -> float:
    return _of(parts, "fleet", f"hit, {store}") - _of(parts, "fleet", "hit, disk")


def _beside_disk(parts: Parts, store: str) -> str:
    floor = _of(parts, "fleet", f"floor: one GET of the bytes by {store}'s own client")
    return f"disk hit {_of(parts, 'fleet', 'hit, disk'):.2f} ms, one bare GET {floor:.2f}"


def _outage(parts: Parts, which: str) -> str:
    pauses = _of(parts, "fleet", f"pauses that they began, {which}")
    longest = _of(parts, "fleet", f"of it to one of them, at most, {which}")
    return f"{pauses:.0f} pauses; at most {longest:.0f} ms to one call"


def _crowded(parts: Parts) -> float:
    """The less favourable of two crowds before a server, over the same requests one after another."""
    clients = parts["clients"]
    alone = clients["with the cache, one after another"]["requests/s"]
    return max(float(alone / clients[f"with the cache, {crowd}"]["requests/s"]) for crowd in _CROWDS)


def _waits(parts: Parts) -> str:
    def wait(crowd: str) -> str:
        rows = parts["clients"][f"with the cache, {crowd}"]
        return f"{crowd} {rows['wait, median (s)']:.2g} s, {rows['wait, 95th percentile (s)']:.2g} s"

    return "wait, median and 95th percentile: " + "; ".join(map(wait, ("one after another", *_CROWDS)))


def _wrong(parts: Parts, which: str) -> tuple[int, int]:
    """Answers that are errors or in another voice, and all answers."""
    columns = [rows for part in ("server", "clients") for name, rows in parts[part].items() if name.startswith(which)]
    wrong = sum(rows["answered with an error"] + rows["answered in another voice"] for rows in columns)
    return wrong, sum(rows["requests"] for rows in columns)


_CROWDS = ("5 clients", "20 clients")


TARGETS = (
    Target("hit after a generation: a look at all weights and functions, caches cold", "at most 0.5 ms", 0.5, "ms",
           lambda p: _memory("enable() after a pause")(p) / 1e3,
           lambda p: f"upstream's preparation {_of(p, 'miss', '10 s', 'upstream alone'):.0f} ms",
           why="Every tensor of the encoders is asked for its version. That alone is 0.6 to 0.7 ms when the processor's"
           " caches have lost them, and nothing in PyTorch says in one place that a tensor of a model was written to;"
           " the rest are containers, attributes and functions, each compared. To be quicker is to look at fewer."),
    Target("memory hit, `prepare_conditionals` with `enable()`, in a loop, over one `os.stat` and seven small clones",
           "at most 2.5", 2.5, "x", _over_stat_and_clones,
           lambda p: f"{_memory('enable()')(p):.0f} us over {_floor_of_seven(p):.1f}; {_floor_of_memory(p)}",
           why="The looks at file, model, code and settings are 12 us of it, the tensors 6; the rest is some fifty"
           " calls of Python functions, and that each finds the caches full of what the one before has used."),
    Target("the same, as a share of the guide's own memory hit, which checks nothing", "at most 0.5", 0.5, "x",
           lambda p: _memory("enable()")(p) / _memory("pt by path")(p),
           lambda p: f"{_memory('pt by path')(p):.1f} us",
           why="Where looking at the file system is cheap, resolving a path is, and that is all the other does: it"
           " looks neither at the file nor at the model, and hands out the tensors that it keeps. The floor of a hit"
           " that hands out fresh ones is 6 us."),
    Target("disk hit, same process, over one read and one SHA-256 of the entry", "at most 3", 3, "x",
           lambda p: _disk("enable()")(p) / _disk("floor: one read and one SHA-256")(p),
           lambda p: f"{_disk('enable()')(p):.0f} us over {_disk('floor: one read and one SHA-256')(p):.0f}",
           why="Every piece of it is needed (see performance.md) and they sum up to 2.6 x in loops of their own; in"
           " turn each finds the processor's caches full of what the one before has read."),
    Target("the same, over `Conditionals.load` of a `.pt`", "at most 0.3", 0.3, "x",
           lambda p: _disk("enable()")(p) / _disk("Conditionals.load")(p),
           lambda p: f"{_disk('enable()')(p):.0f} us over {_disk('Conditionals.load')(p):.0f}",
           why="Where Conditionals.load takes about half a millisecond, 0.3 of it is hardly more than the SHA-256"
           " that tells a damaged entry from a whole one; torch.load checks no content."),
    Target("hit by the encoders' seam, a clip of 10 s, over decoding and resampling alone", "at most 1.3", 1.3, "x",
           lambda p: _encoders("memory hit after a pause")(p) / _encoders("floor: decoding and resampling")(p),
           lambda p: f"{_encoders('memory hit after a pause')(p):.1f} ms over"
           f" {_encoders('floor: decoding and resampling')(p):.1f}",
           why="Decoding and resampling take so little that one look at all weights is most of it again, and this is"
           " three calls: the program's own code runs between them and may do anything to a model, so each looks. The"
           " digest of the waveforms is 1.3 ms."),
    Target("the same, over upstream's preparation", "at most 1/50", 1 / 50, "x",
           lambda p: _encoders("memory hit after a pause")(p) / _encoders("upstream alone")(p),
           lambda p: f"upstream {_encoders('upstream alone')(p):.0f} ms"),
    Target("first hit in a new process, over one read of the weights", "at most 1.3", 1.3, "x",
           lambda p: _first(p) / _read(p),
           lambda p: f"{_first(p):.0f} ms over {_read(p):.0f}",
           why="XXH3 over the weights reads them at the speed of memory. Finding out what code a preparation would run"
           " is 70 ms in Python, and can't be taken from a file, since it is about what is in memory; the rest are"
           " imports and the list of what is watched from then on."),
    Target("`import chatterbox_cached` and `enable()`, over bare Python", "at most 40 ms", 40, "ms",
           lambda p: _over_bare(p, "import and enable()"),
           lambda p: f"`import wrapt` alone {_over_bare(p, 'import wrapt'):.0f} ms",
           why="Half of it is Python's own typing, pathlib and contextlib, a third platformdirs."),
    Target("a Python that starts with `CHATTERBOX_CACHED=1` and never imports Chatterbox, over bare Python",
           "at most 3 ms", 3, "ms", lambda p: _over_bare(p, "bare Python, CHATTERBOX_CACHED=1"),
           lambda p: f"bare Python {_of(p, 'start', 'bare Python'):.0f} ms"),
    Target("`generate` without an audio prompt, added", "at most 20 us", 20, "us",
           lambda p: _of(p, "generate", "enable()") - _of(p, "generate", "upstream alone"),
           lambda p: f"`CachedTTS` {_of(p, 'generate', 'CachedTTS') - _of(p, 'generate', 'upstream alone'):.1f} us"),
    Target("memory kept per voice", "at most 0.2 MB", 0.2, "MB", lambda p: float(p["room"]["enable()"]["memory"]),
           lambda p: f"live conditionals {p['room']['dict by path']['memory']:.0f} MB"),
    Target("miss, over upstream's preparation, the worst of four clips", "at most 1.00", 1.00, "x", _miss,
           lambda p: f"upstream {_of(p, 'miss', '10 s', 'upstream alone'):.0f} ms for 10 s",
           why="What a miss does besides is 5 ms, less than two runs of upstream differ by."),
    Target("the same, the worst of four classes", "at most 1.00", 1.00, "x", _worst_miss,
           lambda p: ", ".join(f"{name} {each['upstream alone']['median']:.0f} ms"
                               for name, each in p["families"].items() if isinstance(each, dict)),
           why="What a miss does besides is 5 ms, less than two runs of upstream differ by."),
    Target("disk hit at 10,000 voices, over the same at 10", "at most 1.3", 1.3, "x", _grown,
           lambda p: f"{_of(p, 'growth', 'any voice of 10000'):.0f} us"),
    Target("opening a folder of 10,000 voices", "at most 20 ms", 20, "ms",
           lambda p: _of(p, "growth", "opening, 10000 voices"),
           lambda p: f"{_of(p, 'growth', 'opening, 10 voices'):.1f} ms for 10"),
    Target("time per hit of 8 threads together, over that of 1 thread", "at most 1.11, so 0.9 of the hits", 1 / 0.9,
           "x", lambda p: 1 / _threads(p),
           lambda p: f"{_of(p, 'threads', '8 threads, a model each'):.0f} hits/s of 8,"
           f" {_of(p, 'threads', '1 threads, a model each'):.0f} of 1",
           why="Python's lock lets one thread at a time work, so the floor is 1, and PyTorch lets go of it in each of"
           " the seven operations of a hit. That hits follow each other spares nearly all of these switches of threads;"
           " left are the looks of those that wait, whether it is their turn."),
    Target("warm of 6 voices, over the sum of 6 preparations", "at most 1.03", 1.03, "x",
           lambda p: _of(p, "warm", "ConditionalCache") / _of(p, "warm", "upstream alone"),
           lambda p: f"{_of(p, 'warm', 'upstream alone'):.1f} s"),
    Target("`warm --jobs 2` of 12 voices, over half the sum of 12 preparations", "at most 1.05", 1.05, "x",
           lambda p: 2 * _of(p, "jobs", "warm --jobs 2") / _of(p, "jobs", "upstream alone"),
           lambda p: f"{_of(p, 'jobs', 'upstream alone'):.1f} s; memory of each worker at most"
           f" {_of(p, 'jobs', 'memory of each of its workers at its most, --jobs 2 (MB)'):.0f} MB",
           why="It needs two cores that nothing else uses, and two processes share the memory and the caches."),
    Target("hit from Valkey over loopback, over a disk hit", "at most 1.5 ms", 1.5, "ms",
           lambda p: _over_disk(p, "Valkey"), lambda p: _beside_disk(p, "Valkey"),
           why="The rest of it over a bare GET is that the voice is kept on this disk as well."),
    Target("hit from S3 over loopback, over a disk hit", "at most 15 ms", 15, "ms",
           lambda p: _over_disk(p, "S3"), lambda p: _beside_disk(p, "S3")),
    Target("what a Valkey that refuses connections adds to 100 misses, over one timeout for each pause", "at most 1", 1,
           "x", lambda p: _of(p, "fleet", "added over one timeout for each pause, refusing Valkey"),
           lambda p: _outage(p, "refusing Valkey")),
    Target("the same, of one that takes connections and says nothing", "at most 1", 1,
           "x", lambda p: _of(p, "fleet", "added over one timeout for each pause, silent Valkey"),
           lambda p: _outage(p, "silent Valkey")),
    Target("time per request of 5 and of 20 clients at once before one server, short texts, over the same requests one"
           " after another", "at most 1.05", 1 / 0.95, "x", _crowded, _waits),
    Target("answers of a server with the cache that are errors or in another voice", "none", 0, "answers",
           lambda p: _wrong(p, "with the cache")[0],
           lambda p: "of {}; without the cache {} of {}".format(
               _wrong(p, "with the cache")[1], *_wrong(p, "without the cache"))),
)  # fmt: skip
