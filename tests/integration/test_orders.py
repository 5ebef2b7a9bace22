"""Every order of import, enable, disable and other people's patches; see orders.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.orders import ORDERS


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong with each order."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.orders"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))},
        capture_output=True,
        text=True,
        check=True,
    )
    answers: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_ends_as_it_should(order: str, wrong: dict[str, str]) -> None:
    assert wrong[order] == ""
