"""The shell completes verbs and their options, and every verb's help has an example."""

from __future__ import annotations

import pytest

from chatterbox_cached.cli.app import VERBS
from tests.support.commands import Cli


def completed(cli: Cli, typed: str) -> list[str]:
    """What bash is told when Tab is pressed after this."""
    words = typed.split(" ")
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1), "_CHATTERBOX_CACHED_COMPLETE": "complete_bash"}
    return cli(**asked).stdout.split()


def test_a_shell_is_told_how_to_complete(cli: Cli) -> None:
    for shell, said in {"bash": "complete -o default -F", "zsh": "compdef", "fish": "complete --command"}.items():
        # Where typer can tell which shell it was called by, it takes that one, and there is none in a test.
        script = cli("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout
        assert said in script
        assert "chatterbox-cached" in script


def test_verbs_and_their_options_are_completed(cli: Cli) -> None:
    assert set(completed(cli, "chatterbox-cached ")) == set(VERBS)
    assert completed(cli, "chatterbox-cached exp") == ["export"]
    assert "--model" in completed(cli, "chatterbox-cached warm voice.wav --")
    assert completed(cli, "chatterbox-cached warm --model m") == ["multilingual"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_with_an_example(cli: Cli, verb: str) -> None:
    shown = cli(verb, "--help").stdout
    assert "Example: " in shown
    assert "chatterbox-cached" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_every_verb_that_takes_a_voice_calls_it_so(cli: Cli) -> None:
    for verb in ("show", "rm", "warm", "verify", "export"):
        assert "VOICE" in cli(verb, "--help").stdout.splitlines()[0]
