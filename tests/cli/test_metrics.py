"""Real programs with the stand-in are asked over HTTP, as Prometheus asks, and answer what their statistics say."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import COMMAND, process_in

RUN = [str(COMMAND), "run", "--cache-dir", "voices"]
Answer = dict[tuple[str, str], float]  # by series and the value of its label
Script = Callable[[str], object]
Start = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]

# Says what it did, and goes on when it is told to.
SPEAK = """
import json, os, sys
import chatterbox_cached
from chatterbox.tts import ChatterboxTTS

def speak(times, voice="voice.wav"):
    for _ in range(times):
        model.generate("Hello.", audio_prompt_path=voice)

def say(number=0):
    print(json.dumps({**chatterbox_cached.stats(), "process": os.getpid(), "number": number}), flush=True)

def wait():
    sys.stdin.readline()

model = ChatterboxTTS.from_pretrained("cpu")
"""


@pytest.fixture
def start(environment: dict[str, str], standin_environment: dict[str, str], tmp_path: Path) -> Start:
    """``with start([...]) as process``: a program with the stand-in, killed if it does not end."""
    for name in ("voice", "other"):
        (tmp_path / f"{name}.wav").write_bytes(f"{name}'s audio".encode() * 100)

    def start(arguments: list[str | Path], **more: str) -> AbstractContextManager[subprocess.Popen[str]]:
        env = {**environment, **standin_environment, "STANDIN_SECONDS": "0.2", **more}
        return process_in(tmp_path, arguments, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    return start


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """``script(text)``: script.py is this."""
    return (tmp_path / "script.py").write_text


@pytest.fixture
def port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        found: int = listening.getsockname()[1]
        return found


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, str]:
    """The environment in which prometheus_client adds up several processes."""
    (tmp_path / "metrics").mkdir()
    return {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the program has ended"
    shown: dict[str, Any] = json.loads(line)
    return shown


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def answer(port: int, host: str = "127.0.0.1") -> Answer:
    """What a scrape gives of ours, as far as it is not 0."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{host}:{port}/metrics", timeout=30) as given:
        text = given.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    ours = [each for each in samples if each.name.startswith("chatterbox_cached_") and each.value]
    shown = {(each.name, next(iter(each.labels.values()), "")): each.value for each in ours}
    assert len(shown) == len(ours), "a series is there twice"
    return shown


def expected(*processes: dict[str, Any]) -> Answer:
    """What a scrape must give of processes that say this of themselves, sizes and buckets apart."""
    whole: Answer = {}
    for each in processes:
        counts = {("hits", "memory"): each["memory_hits"], ("hits", "disk"): each["disk_hits"]}
        counts |= {("misses", ""): each["misses"], ("mismatches", ""): each["mismatches"]}
        for kind, name in (("seams", "seam_hits"), *((name, name) for name in ("bypasses", "not_stored", "errors"))):
            counts |= {(name, by): number for by, number in each[kind].items()}
        for (name, by), number in counts.items():
            series = f"chatterbox_cached_{name}_total", by
            whole[series] = whole.get(series, 0) + number
    return {series: number for series, number in whole.items() if number}


def counts(shown: Answer) -> Answer:
    return {(name, by): n for (name, by), n in shown.items() if name.endswith("_total") and "_seconds_" not in name}


def seconds(shown: Answer) -> tuple[float, float]:
    """Saved, and what upstream took."""
    saved = shown["chatterbox_cached_saved_seconds_total", ""]
    lost = shown.get(("chatterbox_cached_lost_seconds_total", ""), 0.0)
    return saved - lost, shown["chatterbox_cached_prepare_seconds_sum", ""]


def sizes(shown: Answer) -> list[float]:
    names = ("memory_entries", "memory_bytes", "disk_entries", "disk_bytes")
    return [shown.get((f"chatterbox_cached_{name}", ""), 0) for name in names]


def sizes_said(*processes: dict[str, Any]) -> list[float]:
    """What all have in memory, and what the first has seen on disk."""
    memory = [sum(each[f"memory_{what}"] for each in processes) for what in ("cached_items", "size_mb")]
    one = processes[0]
    return [memory[0], round(memory[1] * 1e6), one["disk_cached_items"], round(one["disk_cache_size_mb"] * 1e6)]


EVERYTHING = """
speak(2)
speak(1, "other.wav")
model.prepare_conditionals("voice.wav", exaggeration=0.7)
model.generate("Hello.")  # a mismatch
with open("voice.wav", "rb") as file:
    file.read(1)
    try:
        model.generate("Hello.", audio_prompt_path=file)  # goes round the cache, and upstream can't do it
    except Exception:
        pass
chatterbox_cached.get_cache().clear_memory()
speak(1)
for entry in chatterbox_cached.get_cache().settings.cache_dir.rglob("*.val"):
    entry.write_bytes(b"damaged")
chatterbox_cached.get_cache().clear_memory()
speak(2)
say(), wait()
speak(3), say(), wait()
"""


def test_a_program_under_run_answers_what_its_statistics_say(start: Start, script: Script, port: int) -> None:
    script(SPEAK + EVERYTHING)
    with start([*RUN, "--metrics-port", port, "script.py"]) as process:
        for _ in range(2):
            now = said(process)
            shown = answer(port)
            assert counts(shown) == expected(now)
            assert seconds(shown) == pytest.approx((now["saved_seconds"], now["prepare_seconds"]))
            assert shown["chatterbox_cached_prepare_seconds_count", ""] == now["misses"]
            assert sizes(shown) == sizes_said(now)
            go_on(process)
        assert process.wait(60) == 0
    # So that nothing above compares nothing with nothing.
    assert all(now[kind] for kind in ("memory_hits", "disk_hits", "misses", "bypasses", "errors", "mismatches"))


def test_the_environment_alone_names_the_port(start: Start, script: Script, port: int) -> None:
    script(SPEAK + "speak(2), say(), wait()")
    with start([sys.executable, "script.py"], CHATTERBOX_CACHED="1", CHATTERBOX_CACHED_METRICS_PORT=str(port)) as one:
        assert counts(answer_of(one, port)) == {
            ("chatterbox_cached_misses_total", ""): 1,
            ("chatterbox_cached_hits_total", "memory"): 1,
            ("chatterbox_cached_seam_hits_total", "voices"): 1,
        }


def answer_of(process: subprocess.Popen[str], port: int) -> Answer:
    said(process)
    return answer(port)


def test_it_is_answered_on_loopback_unless_another_address_is_named(start: Start, script: Script, port: int) -> None:
    script(SPEAK + "speak(1), say(), wait()")
    for options, answers, refuses in (
        ([], "127.0.0.1", "127.0.0.2"),
        (["--metrics-address", "127.0.0.2"], "127.0.0.2", "127.0.0.1"),
    ):
        with start([*RUN, "--metrics-port", port, *options, "script.py"]) as process:
            said(process)
            assert answer(port, answers)
            with pytest.raises(OSError, match="refused"):
                answer(port, refuses)


@pytest.mark.parametrize("more", [[], ["--stats"]])
def test_a_port_that_is_taken_is_one_warning_and_the_program_runs(
    start: Start, script: Script, port: int, tmp_path: Path, more: list[str]
) -> None:
    script(SPEAK + "speak(2), say()")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with start([*RUN, *more, "--metrics-port", port, "script.py"]) as process:
            assert said(process)["memory_hits"] == 1
            assert process.wait(60) == 0
    warned = (tmp_path / "stderr").read_text()
    assert warned.count("Warning") == 1
    assert f"This process serves no metrics at 127.0.0.1:{port}" in warned


def test_verbs_leave_the_port_to_the_program(start: Start, script: Script, port: int, tmp_path: Path) -> None:
    script(SPEAK + "speak(1), say(), wait()")
    named = {"CHATTERBOX_CACHED": "1", "CHATTERBOX_CACHED_METRICS_PORT": str(port), "CHATTERBOX_CACHED_DIR": "voices"}
    with start([sys.executable, "script.py"], **named) as process:
        said(process)
        with start([COMMAND, "warm", "voice.wav", "other.wav"], **named) as warm:
            assert warm.wait(60) == 0
        assert "metrics" not in (tmp_path / "stderr").read_text()
        assert answer(port)["chatterbox_cached_misses_total", ""] == 1


# Several processes


FORKED = """
def work(times):
    speak(times, "other.wav" if times == 2 else "voice.wav")
    say(times)
    if times == 3:
        os.kill(os.getpid(), 9)
    wait()
    os._exit(0)

speak(1)
say()
for times in (1, 2, 3):
    if not os.fork():
        work(times)
for _ in range(4):
    wait()
"""


def own_counts(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What forked workers have counted themselves: each begins with the counts of the first, their parent."""
    parent, *workers = processes
    own = [
        {
            name: {by: each - parent[name].get(by, 0) for by, each in value.items()}
            if isinstance(value, dict)
            else value - parent[name]
            for name, value in worker.items()
            if isinstance(value, (int, float, dict))
        }
        for worker in workers
    ]
    return [parent, *own]


def test_forked_workers_are_added_up_also_one_that_was_killed(
    start: Start, script: Script, port: int, shared: dict[str, str]
) -> None:
    script(SPEAK + FORKED)
    with start([*RUN, "--metrics-port", port, "script.py"], **shared) as process:
        processes = sorted((said(process) for _ in range(4)), key=lambda each: each["number"])
        assert len({each["process"] for each in processes}) == 4
        own = own_counts(processes)
        shown = answer(port)
        assert counts(shown) == expected(*own)
        assert seconds(shown) == pytest.approx(
            tuple(sum(each[name] for each in own) for name in ("saved_seconds", "prepare_seconds"))
        )
        assert (sum(each["misses"] for each in own), sum(each["memory_hits"] for each in own)) == (2, 5)
        assert shown["chatterbox_cached_prepare_seconds_count", ""] == 2
        # The one that was killed ended before it told its sizes, which are told a little later.
        kept = sizes_said(*processes[2::-1])
        until = time.monotonic() + 30
        while sizes(shown) != kept and time.monotonic() < until:
            time.sleep(0.5)
            shown = answer(port)
        assert sizes(shown) == kept
        for _ in range(4):
            go_on(process)


STARTED_ANEW = """
import multiprocessing, sys

def work(times, talk, done):
    import json, os
    import chatterbox_cached
    from chatterbox.tts import ChatterboxTTS
    model = ChatterboxTTS.from_pretrained("cpu")
    for _ in range(times):
        model.generate("Hello.", audio_prompt_path="voice.wav")
    talk.put(json.dumps({**chatterbox_cached.stats(), "process": os.getpid()}))
    done.wait()

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    talk, done = context.Queue(), context.Event()
    workers = [context.Process(target=work, args=(times, talk, done)) for times in (2, 5)]
    [worker.start() for worker in workers]
    [print(talk.get(), flush=True) for _ in workers]
    sys.stdin.readline()
    done.set()
    [worker.join() for worker in workers]
"""


def test_workers_that_are_started_anew_are_added_up_by_the_one_that_has_the_port(
    start: Start, script: Script, port: int, shared: dict[str, str], tmp_path: Path
) -> None:
    script(STARTED_ANEW)
    with start([*RUN, "--metrics-port", port, "script.py"], **shared) as process:
        workers = [said(process) for _ in range(2)]
        shown = answer(port)
        go_on(process)
        assert process.wait(60) == 0
    assert counts(shown) == expected(*workers)
    assert sum(n for (name, _), n in shown.items() if name == "chatterbox_cached_hits_total") == 6
    assert (tmp_path / "stderr").read_text().count("serves no metrics") == 1


@pytest.mark.parametrize("early", [True, False], ids=["before the fork", "in each worker"])
def test_a_server_that_registers_by_itself_shows_the_sum_at_its_own_address(
    start: Start, script: Script, shared: dict[str, str], tmp_path: Path, early: bool
) -> None:
    register = "chatterbox_cached.metrics.register()\n"
    text = f"""
import os, sys
import chatterbox_cached
chatterbox_cached.enable("voices")
{register if early else ""}
{SPEAK}
children = []
for times in (2, 3):
    if not (child := os.fork()):
        {register}
        speak(times)
        os._exit(0)
    children.append(child)
[os.waitpid(child, 0) for child in children]
{register}
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
chatterbox_cached.metrics.register(registry)  # is not what is in the files once more
multiprocess.MultiProcessCollector(registry)
print(json.dumps(generate_latest(registry).decode()))
"""
    script(text)
    with start([sys.executable, "script.py"], **shared) as process:
        shown = str(said(process))
        assert process.wait(60) == 0
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    assert "chatterbox_cached_misses_total 1.0" in lines
    hits = sum(float(line.split()[1]) for line in lines if line.startswith("chatterbox_cached_hits_total"))
    assert hits == 4
    assert len(lines) == len({line.split()[0] for line in lines})


def test_where_the_files_can_not_be_written_that_is_one_warning_and_the_voices_are_there(
    start: Start, script: Script, port: int, shared: dict[str, str], tmp_path: Path
) -> None:
    script(
        SPEAK
        + """
import shutil
speak(1)
shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
if not os.fork():
    speak(3), say()
    os._exit(0)
os.wait()
""",
    )
    with start([*RUN, "--metrics-port", port, "script.py"], **shared) as process:
        assert said(process)["memory_hits"] == 3
        assert process.wait(60) == 0
    warned = (tmp_path / "stderr").read_text()
    assert warned.count("Warning") == 1
    assert "Metrics can't be written" in warned


def test_a_worker_frees_the_port_for_the_next_when_its_parent_ends(start: Start, script: Script, port: int) -> None:
    """A child that outlives the program must not keep a port at which nothing answers."""
    script(SPEAK + "speak(1)\nif os.fork():\n    os._exit(0)\nsay(), wait()")
    with start([*RUN, "--metrics-port", port, "script.py"]) as process:
        said(process)
        process.wait(60)
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", port))
        go_on(process)


def test_a_missing_client_is_said_before_the_program_starts_or_warned_of_by_its_own_python(
    start: Start, script: Script, port: int, clientless: Path, tmp_path: Path
) -> None:
    script(SPEAK + "speak(2), say()")
    run = [clientless, "-m", "chatterbox_cached", "run", "--metrics-port", port]
    with start([*run, "script.py"]) as process:
        assert process.wait(60) == 1
        assert process.stdout is not None
        assert process.stdout.read() == ""
    needs = "Metrics need prometheus_client, which is not installed here: pip install 'chatterbox-cached[metrics]'"
    assert (tmp_path / "stderr").read_text() == f"chatterbox-cached: {needs}\n"
    with start([*run, "--", "env", clientless, "script.py"]) as process:
        assert said(process)["memory_hits"] == 1
        assert process.wait(60) == 0
    warned = (tmp_path / "stderr").read_text()
    assert warned.count("Warning") == 1
    assert f"{needs} The program runs without them." in warned


def test_the_signal_and_the_exit_code_stay_the_programs(start: Start, script: Script, port: int) -> None:
    script(SPEAK + "say(), wait()")
    with start([*RUN, "--metrics-port", port, "script.py"]) as process:
        assert said(process)["process"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
