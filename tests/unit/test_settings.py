"""What can be set, where it comes from, and that the impossible is an error that names itself."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from chatterbox_cached import addresses
from chatterbox_cached.errors import CacheWarning, SettingsError
from chatterbox_cached.settings import (
    DEFAULT,
    Settings,
    resolve,
    source_of,
    switched_off,
    variable_of,
    with_user_folder,
)
from tests.support.forks import become_nobody, in_a_fork
from tests.support.pairs import OTHER_PAIR, PAIR

NEW, OLD = "the new key of 16 bytes", "the old key of 16 bytes"
EVERY = [
    # setting, variable, in the environment, as a keyword, what a keyword gives
    ("cache_dir", "CHATTERBOX_CACHED_DIR", "/env", "/keyword", Path("/keyword")),
    ("auto_save", "CHATTERBOX_CACHED_AUTO_SAVE", "1", False, False),
    ("memory_entries", "CHATTERBOX_CACHED_MEMORY_ENTRIES", "7", 9, 9),
    ("memory_bytes", "CHATTERBOX_CACHED_MEMORY_BYTES", "7MB", "9MB", 9_000_000),
    ("size_limit", "CHATTERBOX_CACHED_SIZE_LIMIT", "7GB", "9GB", 9_000_000_000),
    ("on_mismatch", "CHATTERBOX_CACHED_ON_MISMATCH", "error", "follow", "follow"),
    ("take_turns", "CHATTERBOX_CACHED_TAKE_TURNS", "on", False, False),
    ("wait_seconds", "CHATTERBOX_CACHED_WAIT_SECONDS", "1.5", 2, 2.0),
    ("trust_cache_dir", "CHATTERBOX_CACHED_TRUST_CACHE_DIR", "0", True, True),
    (
        "read_only_dirs",
        "CHATTERBOX_CACHED_READ_ONLY_DIRS",
        os.pathsep.join(("/env", "/env2")),
        ["/keyword", Path("/other:one")],
        (Path("/keyword"), Path("/other:one")),
    ),
    ("verify", "CHATTERBOX_CACHED_VERIFY", "0.5", 1, 1.0),
    ("exact", "CHATTERBOX_CACHED_EXACT", "setup", "model", "model"),
    (
        "shared",
        "CHATTERBOX_CACHED_SHARED",
        "valkey://one:1/0 s3://two/three",
        "redis://user:password@one",
        ("redis://user:password@one",),
    ),
    ("shared_mode", "CHATTERBOX_CACHED_SHARED_MODE", "read", "read-write", "read-write"),
    ("namespace", "CHATTERBOX_CACHED_NAMESPACE", "team-a", "team-b", "team-b"),
    ("connect_seconds", "CHATTERBOX_CACHED_CONNECT_SECONDS", "0.5", 2, 2.0),
    ("operation_seconds", "CHATTERBOX_CACHED_OPERATION_SECONDS", "0.5", 2, 2.0),
    ("voices_dir", "CHATTERBOX_CACHED_VOICES_DIR", "/env/voices", "/keyword/voices", Path("/keyword/voices")),
    ("signing_key", "CHATTERBOX_CACHED_SIGNING_KEY", f"{NEW}, {OLD}", NEW, (NEW.encode(),)),
    (
        "verify_keys",
        "CHATTERBOX_CACHED_VERIFY_KEYS",
        f"{PAIR.public}, {OTHER_PAIR.public}",
        PAIR.public,
        (PAIR.public.encode(),),
    ),
    ("signed", "CHATTERBOX_CACHED_SIGNED", "0", True, True),
]


def test_every_setting_is_in_the_table_of_this_test() -> None:
    assert {row[0] for row in EVERY} == set(Settings._fields)


@pytest.mark.parametrize(("name", "variable", "text", "keyword", "expected"), EVERY)
def test_a_keyword_wins_over_the_environment_and_that_over_the_default(
    name: str, variable: str, text: str, keyword: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "shared":  # which wants signatures, or a word
        monkeypatch.setenv("CHATTERBOX_CACHED_SIGNED", "0")
    default = getattr(resolve({}), name)
    assert default == getattr(Settings(), name)
    monkeypatch.setenv(variable, text)
    from_environment = getattr(resolve({}), name)
    assert from_environment == getattr(resolve({name: text}), name)
    assert getattr(resolve({name: keyword}), name) == expected != from_environment


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (0, 0),
        (500, 500),
        ("500", 500),
        ("500B", 500),
        ("500MB", 500 * 10**6),
        ("500 mb", 500 * 10**6),
        (" 1.5 GiB ", 3 * 2**29),
        ("2kib", 2048),
        ("1KB", 1000),
        ("1MiB", 2**20),
        ("1gb", 10**9),
    ],
)
def test_a_size_may_be_written_with_a_unit(written: Any, number: int) -> None:
    assert resolve({"size_limit": written}).size_limit == number


@pytest.mark.parametrize(
    ("flag", "words"), [(True, ("1", "true", "Yes", "ON", " on ")), (False, ("0", "False", "no", "off"))]
)
def test_a_flag_may_be_a_word(flag: bool, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for word in words:
        monkeypatch.setenv("CHATTERBOX_CACHED_AUTO_SAVE", word)
        assert resolve({}).auto_save is flag


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_entries", -1),
        ("memory_entries", True),
        ("memory_entries", "9" * 400),
        ("memory_bytes", "12 parsecs"),
        ("memory_bytes", "-5MB"),
        ("memory_bytes", 1.5),
        ("size_limit", "lots"),
        ("size_limit", None),
        ("on_mismatch", "shout"),
        ("on_mismatch", None),
        ("exact", "machine"),
        ("exact", None),
        ("exact", True),
        ("shared", 5),
        ("shared", ["valkey://host", None]),
        ("shared", "host:6379"),
        ("shared", "http://host"),
        ("shared", "valkey://"),
        ("shared", "valkey://host:0x10"),
        ("shared", "valkey://host:70000"),
        ("shared", "valkey://host/first"),
        ("shared", "valkey://host?decode_responses=true"),
        ("shared", "unix:///run/a.sock?db=1&encoding=utf-16"),
        ("shared", "unix://"),
        ("shared", "s3://"),
        ("shared", "s3://key:secret@bucket"),
        ("shared_mode", "write"),
        ("namespace", ""),
        ("namespace", "a/b"),
        ("namespace", ".."),
        ("namespace", "a" * 65),
        ("namespace", None),
        ("connect_seconds", -1),
        ("operation_seconds", "long"),
        ("auto_save", "perhaps"),
        ("take_turns", 2),
        ("wait_seconds", -0.1),
        ("wait_seconds", "nan"),
        ("wait_seconds", "inf"),
        ("wait_seconds", "soon"),
        ("wait_seconds", True),
        ("wait_seconds", 10**400),
        ("trust_cache_dir", "of course"),
        ("verify", 1.5),
        ("verify", -0.1),
        ("verify", 1e-300),
        ("verify", "nan"),
        ("verify", True),
        ("signing_key", "short"),
        ("signing_key", f"{NEW},"),
        ("signing_key", [NEW, "short"]),
        ("signing_key", []),
        ("signing_key", ()),
        ("signing_key", 5),
        ("signing_key", [5]),
        # Spelt wrong, a key of a pair is not taken for a secret: others may know it.
        ("signing_key", "ed25519-private:"),
        ("signing_key", PAIR.public),
        ("verify_keys", PAIR.private),
        ("signing_key", PAIR.private.removesuffix("=")),
        ("signing_key", PAIR.private.replace("ed25519", "Ed25519")),
        ("signing_key", PAIR.private.replace("private:", "private ")),
        ("signing_key", PAIR.private.replace("=", "AAA=")),
        ("signing_key", PAIR.private.replace("/", "_")),
        ("verify_keys", NEW),
        ("verify_keys", PAIR.public.removeprefix("ed25519-public:")),
        ("verify_keys", PAIR.public.replace("=", "AAA=")),
        ("verify_keys", [PAIR.public, ""]),
        ("verify_keys", []),
        ("verify_keys", 5),
        ("signed", "perhaps"),
        ("read_only_dirs", 5),
        ("read_only_dirs", ["/a", None]),
        ("read_only_dirs", ["/a", ""]),
        ("read_only_dirs", ["/a", 5]),
        ("cache_dir", 5),
        ("cache_dir", ""),
        ("cache_dir", "x" * 5000),
        ("cache_dir", " "),
        ("cache_dir", "a\0b"),
        # Whatever is not there would become a folder of that name, wherever this runs.
        ("cache_dir", "~no such user/voices"),
        ("cache_dir", "$NOT_SET/voices"),
        ("cache_dir", "${NOT_SET}/voices"),
        ("voices_dir", "~no such user/voices"),
        ("read_only_dirs", ["/a", "$NOT_SET/voices"]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_impossible_setting_is_an_error_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        resolve({name: value})


def test_an_impossible_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERBOX_CACHED_MEMORY_BYTES", "12 parsecs")
    with pytest.raises(SettingsError, match=r"CHATTERBOX_CACHED_MEMORY_BYTES.*12 parsecs.*500MB"):
        resolve({})


@pytest.mark.parametrize("name", sorted({*Settings._fields} - {"signing_key", "verify_keys"}))
def test_an_empty_variable_is_as_one_that_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable_of(name), "")
    assert resolve({}) == Settings()
    assert with_user_folder({}) == Settings(cache_dir=with_user_folder({}).cache_dir)
    assert source_of(name, ()) == DEFAULT


@pytest.mark.parametrize("name", ["signing_key", "verify_keys"])
def test_an_empty_key_is_no_leave_to_believe_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable_of(name), "")
    with pytest.raises(SettingsError, match=variable_of(name)):
        resolve({})


def test_a_word_may_be_in_capitals_and_have_blanks_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("FOLLOW", "Follow", " follow\r"):
        monkeypatch.setenv("CHATTERBOX_CACHED_ON_MISMATCH", word)
        assert resolve({}).on_mismatch == "follow"


def test_a_folder_whose_variable_is_empty_is_not_the_one_where_this_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "")
    with pytest.raises(SettingsError, match="write the path out"):
        resolve({"cache_dir": "$STORE"})


def test_an_unknown_setting_is_an_error_that_names_it_and_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"memory_entrys.*memory_entries"):
        resolve({"memory_entrys": 5})


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cache_dir"):
        resolve({"cache_dir": tmp_path / "file"})


def test_folders_are_named_as_in_path_or_in_a_list_each_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    wanted = (one, other)
    for given in (f"{one}{os.pathsep}{other}{os.pathsep}", [one, str(other), one], wanted):
        assert resolve({"read_only_dirs": given}).read_only_dirs == wanted
    assert resolve({"read_only_dirs": one}).read_only_dirs == (one,)
    for none in ("", None, [], ()):
        assert resolve({"read_only_dirs": none}).read_only_dirs == ()
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"read_only_dirs.*something else at that path"):
        resolve({"read_only_dirs": [one, tmp_path / "file"]})


def test_a_folder_is_made_absolute_and_nothing_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve({"cache_dir": "voices"}).cache_dir == tmp_path / "voices"
    assert resolve({"cache_dir": "~/voices"}).cache_dir == tmp_path / "home" / "voices"
    assert not list(tmp_path.iterdir())


def test_settings_are_equal_by_value_and_hashable() -> None:
    assert resolve({"size_limit": "1GB"}) == resolve({"size_limit": 10**9})
    assert len({resolve({}), resolve({}), resolve({"memory_entries": 1})}) == 2


def test_without_a_folder_the_users_cache_folder_is_taken() -> None:
    expected = Path(platformdirs.user_cache_dir("chatterbox-cached", appauthor=False))
    assert with_user_folder({}).cache_dir == expected
    assert with_user_folder({"cache_dir": None}).cache_dir == expected


def test_xdg_cache_home_moves_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if platformdirs.PlatformDirs is not platformdirs.unix.Unix:
        pytest.skip("XDG_CACHE_HOME is for Unix")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert with_user_folder({}).cache_dir == tmp_path / "elsewhere" / "chatterbox-cached"


def test_a_named_folder_wins_over_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERBOX_CACHED_DIR", str(tmp_path / "env"))
    assert with_user_folder({}).cache_dir == tmp_path / "env"
    assert with_user_folder({"cache_dir": None}).cache_dir == tmp_path / "env"
    assert with_user_folder({"cache_dir": tmp_path / "keyword"}).cache_dir == tmp_path / "keyword"


def test_the_kill_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not switched_off()
    for word, off in (("1", True), ("0", False), ("yes", True), ("", False)):
        monkeypatch.setenv("CHATTERBOX_CACHED_DISABLE", word)
        assert switched_off() is off
    monkeypatch.setenv("CHATTERBOX_CACHED_DISABLE", "maybe")
    with pytest.raises(SettingsError, match="CHATTERBOX_CACHED_DISABLE"):
        switched_off()


def test_variables_in_a_folder_are_replaced_where_no_shell_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", str(tmp_path))
    monkeypatch.setenv("CHATTERBOX_CACHED_DIR", "$STORE/voices")
    assert with_user_folder({}).cache_dir == tmp_path / "voices"


def test_a_user_without_a_home_gets_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(*_: object, **__: object) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_cache_dir", no_home)
    with pytest.warns(CacheWarning, match="memory only.*no home.*CHATTERBOX_CACHED_DIR"):
        assert with_user_folder({}).cache_dir is None


def test_a_users_folder_that_cant_be_looked_at_means_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home of another"
    home.mkdir(mode=0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))

    def ask() -> None:
        become_nobody()
        with pytest.warns(CacheWarning, match=r"memory only.*home of another.*CHATTERBOX_CACHED_DIR") as told:
            assert with_user_folder({}).cache_dir is None
        assert len(told) == 1
        with pytest.raises(SettingsError, match="cache_dir"):  # a folder that was named is another matter
            with_user_folder({"cache_dir": home / "voices"})

    try:
        assert in_a_fork(ask) == "done"
    finally:
        home.chmod(0o700)


def test_a_file_in_the_place_of_the_users_folder_means_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning, match="memory only"):
        assert with_user_folder({}).cache_dir is None


def test_signing_keys_may_be_written_in_several_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (NEW.encode(), OLD.encode())
    for written in (f"{NEW},{OLD}", [NEW, OLD], (NEW.encode(), OLD)):
        assert resolve({"signing_key": written}).signing_key == both
    monkeypatch.setenv("CHATTERBOX_CACHED_SIGNING_KEY", f"{NEW},{OLD}")
    assert resolve({}).signing_key == both
    assert resolve({"signing_key": None}).signing_key == ()
    assert resolve({"signing_key": b"bytes, with a comma in them"}).signing_key == (b"bytes, with a comma in them",)


def test_a_signing_key_is_not_shown_but_goes_along_to_workers() -> None:
    settings = resolve({"signing_key": NEW})
    assert NEW not in repr(settings)
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert len({settings, resolve({"signing_key": NEW}), resolve({"signing_key": OLD})}) == 2
    with pytest.raises(SettingsError, match="signing_key") as refused:
        resolve({"signing_key": "a short one"})
    assert "a short one" not in str(refused.value)
    with pytest.raises(SettingsError, match="signing_key") as refused:
        resolve({"signing_key": PAIR.private + "="})
    assert PAIR.private[10:] not in str(refused.value)


def test_no_key_is_shown_wherever_it_was_put() -> None:
    settings = resolve({"signing_key": [NEW, PAIR.private], "verify_keys": OTHER_PAIR.public})
    assert settings.keyring.signer is not None
    for shown in (repr(settings), str(settings), repr(settings.keyring), repr(settings.keyring.trusted)):
        assert NEW not in shown
        assert "ed25519" not in shown
        assert "b'" not in shown
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_pairs_keys_may_be_written_in_several_ways() -> None:
    both = (PAIR.public.encode(), OTHER_PAIR.public.encode())
    for written in (",".join((PAIR.public, OTHER_PAIR.public)), [PAIR.public, both[1]], both):
        assert resolve({"verify_keys": written}).verify_keys == both
    assert resolve({"verify_keys": None}).verify_keys == ()
    assert resolve({"signing_key": f"{NEW}, {PAIR.private}"}).signing_key == (NEW.encode(), PAIR.private.encode())


@pytest.mark.parametrize(
    ("keywords", "stores"),
    [
        ({}, True),
        ({"signing_key": PAIR.private}, True),
        ({"signing_key": NEW, "verify_keys": PAIR.public}, True),
        ({"verify_keys": PAIR.public}, False),
        ({"signing_key": NEW, "auto_save": False}, False),
    ],
)
def test_what_could_not_be_signed_is_not_stored(keywords: dict[str, Any], stores: bool) -> None:
    assert resolve(keywords).stores is stores


def test_a_public_key_does_not_stand_for_a_private_one() -> None:
    """Or everyone who has read it could sign."""
    with pytest.raises(SettingsError, match="signing_key") as refused:
        resolve({"signing_key": [NEW, PAIR.public]})
    assert PAIR.public not in str(refused.value)


@pytest.mark.parametrize(
    "keywords", [{"signing_key": NEW}, {"signing_key": PAIR.private}, {"verify_keys": PAIR.public}, {"signed": False}]
)
def test_a_store_that_machines_share_wants_signatures_or_a_word(keywords: dict[str, Any]) -> None:
    store = {"shared": "redis://someone:hush@host"}
    assert resolve({**store, **keywords}).shared == (store["shared"],)
    with pytest.raises(SettingsError, match=r"valkey://host.*signing_key.*verify_keys.*signed=False") as refused:
        resolve(store)
    assert "hush" not in str(refused.value)


def test_the_password_of_a_store_is_not_shown() -> None:
    settings = resolve({"shared": ["valkey://someone:hush@host:1/2", "unix://:hush@/run/a.sock?db=1"], "signed": False})
    assert "hush" not in repr(settings)
    assert "valkey://host:1/2" in repr(settings)
    for login in (
        "someone:hush@host:port/2",
        "someone:hush\u2100@host",
        "someone:20#hush@host",
        "someone:20?hush@host",
    ):
        with pytest.raises(SettingsError) as raised:
            resolve({"shared": f"valkey://{login}"})
        assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "label", "url"),
    [
        ("valkey://host", "valkey://host:6379/0", "redis://host"),
        ("redis://u:p@host:7/3", "valkey://host:7/3", "redis://u:p@host:7/3"),
        ("valkeys://host", "valkey://host:6379/0", "rediss://host"),
        ("rediss://[::1]:7", "valkey://[::1]:7/0", "rediss://[::1]:7"),
        ("redis://host/1?db=2", "valkey://host:6379/2", "redis://host/1?db=2"),  # of which redis-py takes the second
        ("unix:///run/a.sock", "unix:///run/a.sock", "unix:///run/a.sock"),
        ("unix:///run/a.sock?db=2", "unix:///run/a.sock?db=2", "unix:///run/a.sock?db=2"),
        ("s3://bucket/a/b/", "s3://bucket/a/b", ""),
        ("s3://bucket", "s3://bucket", ""),
    ],
)
def test_an_address_says_where_a_store_is(address: str, label: str, url: str) -> None:
    found = addresses.parsed(address)
    assert (found.label, found.url) == (label, url)


def test_a_store_whose_client_is_not_installed_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'chatterbox-cached\[valkey\]'"):
        resolve({"shared": "valkey://host"})
    with pytest.raises(SettingsError, match=r"pip install 'chatterbox-cached\[s3\]'"):
        resolve({"shared": "s3://bucket"})
