"""Copies of the installed Chatterbox, as programs carry them: under another name, here and there edited."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

# What some copies have in their tts.py in place of upstream's lines.
RETURNS = {
    "self.conds = Conditionals(t3_cond, s3gen_ref_dict)": "return Conditionals(t3_cond, s3gen_ref_dict)",
    "        self,\n        text,\n": "        self,\n        text,\n        conds,\n",
    "        if audio_prompt_path:\n": "        self.conds = conds\n        if audio_prompt_path:\n",
}
ANOTHER_CLASS = {"ChatterboxTTS": "SpeechEngine"}


def copied(folder: Path, package: str, edits: dict[str, str] | None = None) -> None:
    """Copy Chatterbox into ``folder`` as ``package``, with its absolute imports rewritten and ``edits`` made."""
    spec = find_spec("chatterbox")
    assert spec is not None
    assert spec.origin is not None
    target = folder.joinpath(*package.split("."))
    shutil.copytree(Path(spec.origin).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    for file in target.rglob("*.py"):
        text = re.sub(r"^(\s*(?:from|import)) chatterbox\b", rf"\1 {package}", file.read_text("utf-8"), flags=re.M)
        file.write_text(text, "utf-8")
    for before, after in (edits or {}).items():
        _edit(target / "tts.py", before, after)


def node(folder: Path, package: str) -> None:
    """A copy inside a folder with a node, as hosts load it by its path; see programs/node.py."""
    copied(folder, f"{package}.local_chatterbox")
    shutil.copy(Path(__file__).with_name("programs") / "node.py", folder.joinpath(*package.split("."), "__init__.py"))


def _edit(file: Path, before: str, after: str) -> None:
    assert before in file.read_text("utf-8"), f"{file.name} no longer has {before!r}"
    for each in (file, file.with_name("__init__.py")):  # which imports the class by its name
        each.write_text(each.read_text("utf-8").replace(before, after), "utf-8")
