"""Where the installed command is, and what the fixtures are that run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("chatterbox-cached")
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
