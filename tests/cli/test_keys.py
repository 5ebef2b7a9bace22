"""``chatterbox-cached keys``, and what the other verbs do where entries can only be checked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chatterbox_cached.settings import resolve
from chatterbox_cached.voice import entry_format
from tests.support.commands import Cli
from tests.support.pairs import PAIR
from tests.support.small_voices import KEY, snapshot

PRIVATE, PUBLIC = "CHATTERBOX_CACHED_SIGNING_KEY", "CHATTERBOX_CACHED_VERIFY_KEYS"


def variables(text: str) -> dict[str, str]:
    """What a file for the environment says: a variable a line, and notes after a #."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def work_together(private: str, public: str) -> bool:
    signer, reader = resolve({"signing_key": private}).keyring, resolve({"verify_keys": public}).keyring
    return entry_format.decode(KEY, entry_format.encode(KEY, snapshot(), signer), reader) is not None


def test_a_pair_is_printed_as_the_variables_that_take_it_each_with_what_it_is_for(cli: Cli) -> None:
    said = cli("keys").stdout
    assert [line[:29] for line in said.splitlines() if line.startswith("#")] == [
        "# For machines that prepare v",
        "# For machines that only read",
    ]
    pair = variables(said)
    assert list(pair) == [PRIVATE, PUBLIC]
    assert work_together(pair[PRIVATE], pair[PUBLIC])
    assert variables(cli("keys").stdout)[PRIVATE] != pair[PRIVATE]


def test_the_private_key_is_written_for_its_owner_alone_and_not_printed(cli: Cli, tmp_path: Path) -> None:
    said, file = cli("keys", "--to", "private.env"), tmp_path / "private.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    private = variables(file.read_text())[PRIVATE]
    assert list(variables(said.stdout)) == [PUBLIC]
    assert private not in said.stdout + said.stderr
    assert "private.env" in said.stdout
    assert work_together(private, variables(said.stdout)[PUBLIC])


@pytest.mark.parametrize("there", ["a file", "a link that leads nowhere"])
def test_no_file_is_replaced_by_a_new_key(there: str, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "private.env"
    file.write_text("in use") if there == "a file" else file.symlink_to("nowhere")
    shown = cli("keys", "--to", file, code=1)
    assert (shown.stdout, len(shown.stderr.splitlines())) == ("", 1)
    assert "private.env is there already" in shown.stderr
    assert not (tmp_path / "nowhere").exists()
    assert there != "a file" or file.read_text() == "in use"


def test_a_file_that_cant_be_made_is_an_error_in_one_line(cli: Cli, tmp_path: Path) -> None:
    shown = cli("keys", "--to", tmp_path / "gone" / "private.env", code=1)
    assert (shown.stdout, len(shown.stderr.splitlines())) == ("", 1)


def test_where_entries_are_only_checked_nothing_is_prepared_in_vain(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_bytes(b"RIFF")
    for arguments in (("warm", "anna.wav"), ("warm", "anna.wav", "--into", "image"), ("import", "voices.cbv")):
        (tmp_path / "voices.cbv").write_bytes(b"PK\3\4")
        shown = cli(*arguments, code=1, **{PUBLIC: PAIR.public})
        assert len(shown.stderr.splitlines()) == 1
        assert "With verify_keys and no signing_key" in shown.stderr
    assert not (tmp_path / "image").exists()


def test_the_doctor_says_who_is_believed(cli: Cli, unladen: dict[str, str]) -> None:
    def said(**keys: str) -> str:
        lines = cli("doctor", **unladen, **keys).stdout.splitlines()
        return " ".join(" ".join(line.split()) for line in lines if "signatures" in line)

    assert said() == ""
    assert "signed with HMAC-SHA256" in said(**{PRIVATE: "a secret of 16 bytes, another secret of 16"})
    assert "signed with Ed25519" in said(**{PRIVATE: PAIR.private})
    assert "only checked" in said(**{PUBLIC: PAIR.public})
