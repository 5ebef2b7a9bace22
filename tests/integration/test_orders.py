"""Every order of import, enable, disable and other people's patches; see orders.py."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.support.commands import REPOSITORY
from tests.support.orders import ORDERS
from tests.support.preloaded import Preloaded


@pytest.fixture(scope="module")
def wrong(preloaded_chatterbox: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong with each order."""
    program = [sys.executable, "-c", "from tests.support.orders import main; main()"]
    own = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    run = preloaded_chatterbox.run(program, cwd=REPOSITORY, env=os.environ | own, seconds=300)
    assert run.returncode == 0, run.stderr
    answers: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_ends_as_it_should(order: str, wrong: dict[str, str]) -> None:
    assert wrong[order] == ""
