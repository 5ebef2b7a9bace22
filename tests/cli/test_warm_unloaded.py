"""What ``warm`` and ``verify`` say where no model gets loaded, with a stand-in for Chatterbox."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, REPOSITORY, Cli, Write
from tests.support.terminal import terminal


def test_a_folder_that_cannot_be_used_is_said_before_a_model_is_loaded(cli: Cli, tmp_path: Path, voice: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "more").touch()
    for verb in ("warm", "verify"):
        shown = cli(verb, voice, "--cache-dir", shared, code=1)
        assert "chmod go-w" in shown.stderr
        assert len(shown.stderr.splitlines()) == 1
    assert "CHATTERBOX_CACHED_DISABLE" in cli("warm", voice, code=1, CHATTERBOX_CACHED_DISABLE="1").stderr


def test_a_model_that_cannot_be_loaded_is_one_line_that_says_what_to_do(cli: Cli, voice: Path, tmp_path: Path) -> None:
    broken = tmp_path / "path" / "chatterbox"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import no_such_thing\n")
    shown = cli("warm", voice, code=1, PYTHONPATH=f"{broken.parent}{os.pathsep}{REPOSITORY}").stderr
    assert len(shown.splitlines()) == 1
    assert shown.startswith("chatterbox-cached: The english model can't be loaded (ModuleNotFoundError: No module")
    assert shown.endswith("Run: chatterbox-cached doctor\n")


@pytest.mark.parametrize(
    ("tts", "jobs", "advice"),
    [
        ("raise ConnectionError('no route')", "1", {"network", "--device", "--checkpoint"}),
        ("raise ConnectionError('no route')", "2", {"network", "--device", "--checkpoint"}),
        ("raise RuntimeError('Expected one of cpu, cuda')", "1", {"network", "--device", "--checkpoint"}),
        # What comes of a watermarker that can't be imported.
        ("raise TypeError('NoneType object is not callable')", "1", {"doctor"}),
    ],
)
def test_the_advice_fits_what_keeps_a_model_from_being_loaded(
    cli: Cli, write: Write, voice: Path, other_voice: Path, tts: str, jobs: str, advice: set[str]
) -> None:
    stand_in(write, tts)
    said = cli("warm", voice, other_voice, "--jobs", jobs, code=1, PYTHONPATH=path_with(write)).stderr
    assert len(said.splitlines()) == 1
    assert {word for word in ("network", "--device", "--checkpoint", "doctor") if word in said} == advice


def test_ray_that_is_not_installed_is_one_line_that_says_what_to_do(cli: Cli, write: Write, voice: Path) -> None:
    write("ray.py", "raise ImportError\n")
    store = {"CHATTERBOX_CACHED_SHARED": "valkey://127.0.0.1", "CHATTERBOX_CACHED_SIGNED": "0"}
    said = cli("warm", voice, "--ray", "auto", code=1, PYTHONPATH=path_with(write), **store).stderr
    assert said == "chatterbox-cached: --ray needs Ray. Run: pip install 'chatterbox-cached[ray]'\n"


def test_a_cluster_and_a_folder_are_not_given_both(cli: Cli, voice: Path, tmp_path: Path) -> None:
    for option in ("--into", "--cache-dir"):
        said = cli("warm", voice, "--ray", "auto", option, tmp_path / "a", code=2).stderr
        assert f"Give {option} or --ray, not both" in said


@pytest.mark.parametrize("swallowed_in", ["import", "load"])
def test_an_interruption_that_a_library_swallows_still_ends_it(
    cli: Cli, write: Write, voice: Path, swallowed_in: str
) -> None:
    swallow = "exec('try: os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\\nexcept BaseException: pass')"
    stand_in(write, swallow if swallowed_in == "load" else "pass", swallow if swallowed_in == "import" else "")
    shown = cli("warm", voice, code=130, PYTHONPATH=path_with(write))
    assert (shown.stdout, shown.stderr) == ("", "")


def test_an_interruption_while_several_models_are_loaded_ends_them_all(
    environment: dict[str, str], write: Write, voice: Path, other_voice: Path, tmp_path: Path
) -> None:
    loading = tmp_path / "loading"
    loading.mkdir()
    stand_in(write, f"open(f'{loading}/{{os.getpid()}}', 'x'); time.sleep(300)")
    process = subprocess.Popen(
        [str(COMMAND), "warm", str(voice), str(other_voice), "--jobs", "2"],
        env={**environment, "PYTHONPATH": path_with(write)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(pids := os.listdir(loading)) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def stand_in(write: Write, load: str, on_import: str = "") -> None:
    """A Chatterbox that does this when it is imported and when its model is to be loaded."""
    write(
        "chatterbox/tts.py",
        f"""
        import os, signal, time
        {on_import}
        class ChatterboxTTS:
            @classmethod
            def from_pretrained(cls, device):
                {load}
        """,
    )


def path_with(write: Write) -> str:
    return f"{write('chatterbox/__init__.py', '').parents[1]}{os.pathsep}{REPOSITORY}"


def test_files_that_are_not_there_are_named_before_a_model_is_loaded(cli: Cli, write: Write, voice: Path) -> None:
    stand_in(write, "raise SystemExit(99)")
    only_missing = write("list.txt", "gone.wav")
    for verb in ("warm", "verify"):
        for given, named in (
            (("nofolder/", "none.wav"), ("nofolder", "none.wav")),
            (("--list", only_missing), ("gone.wav",)),
        ):
            said = cli(verb, *given, code=1, PYTHONPATH=path_with(write)).stderr
            assert len(said.splitlines()) == 1
            assert all(name in said for name in named), said
        cli(verb, voice, "none.wav", code=99, PYTHONPATH=path_with(write))  # there is something to do


def test_a_wrong_choice_is_said_in_our_words(cli: Cli) -> None:
    for verb in ("warm", "export"):
        said = cli(verb, "--model", "french", "x.wav", code=2).stderr
        assert "Invalid value for '--model': 'french' is not one of" in said


def test_the_figures_beside_the_bar_have_the_colour_of_other_text(environment: dict[str, str]) -> None:
    script = "from chatterbox_cached.cli.progress import shown\nfor _ in shown(range(2), 'Preparing', 2): pass"
    with terminal() as (screen, said):
        subprocess.run(
            [str(COMMAND.with_name("python")), "-c", script],
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            stderr=screen,
            check=True,
        )
    text = "".join(said)
    assert "2/2" in text
    assert "\x1b[" in text  # there are colours, in the bar
    assert "\x1b[32m" not in text
    assert "\x1b[36m" not in text
