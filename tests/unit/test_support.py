"""What tests share lives in tests/support/: no test module imports another, nor a conftest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# By its name also in a program that a test writes as text, wherever in a line it stands.
IMPORT = re.compile(r"(?:^ *from +(?=\.)|\b(?:from|import) +(?=tests\b))([\w.]+)(?= +import|\s|;|$)", re.MULTILINE)


def imports_of_tests(source: str) -> list[str]:
    """What a source imports from other tests, by the name that it gives them. What `make matrix` runs is no test."""
    return [name for name in IMPORT.findall(source) if not f"{name}.".startswith(("tests.support.", "tests.matrix."))]


def test_no_test_module_imports_another() -> None:
    files = {file.relative_to(TESTS): file.read_text(encoding="utf-8") for file in TESTS.rglob("*.py")}
    del files[Path(__file__).relative_to(TESTS)]  # which names some below
    assert len(files) > 100
    assert {file: found for file, text in files.items() if (found := imports_of_tests(text))} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tests.support.stage import Stage", []),
        ("import tests.support.stage", []),
        ("from tests.supporters import x", ["tests.supporters"]),
        ("from tests import conftest", ["tests"]),
        ("    import tests.unit.test_key", ["tests.unit.test_key"]),
        ("from .conftest import Cli", [".conftest"]),
        ("from . import conftest", ["."]),
        ('program = "from tests.unit.test_key import x; x()"', ["tests.unit.test_key"]),
        ("a word from tests, say", []),
    ],
)
def test_an_import_of_another_test_is_seen(source: str, found: list[str]) -> None:
    assert imports_of_tests(source) == found
