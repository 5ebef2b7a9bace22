"""Where the installed command and the stand-ins are, and what the fixtures are that run commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STANDIN = Path(__file__).with_name("standin")  # for PYTHONPATH: Chatterbox is found there
SHORTENED = Path(__file__).with_name("shortened")  # likewise: the real one is short where it speaks
COUNTED = Path(__file__).with_name("counted")  # likewise, and its preparations are counted
COMMAND = Path(sys.executable).with_name("chatterbox-cached")
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
