"""Makes the Chatterbox of a process a short one, with which it can load the tests' hub folder; see short_models.py.

Its two parts are loaded by their paths, so that the package is not there before a program asks for it.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SUPPORT = Path(__file__).parents[1]


def loaded(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


loaded(SUPPORT.parents[1] / "chatterbox_cached" / "demo" / "shortening.py").shorten(max_new_tokens=6)
loaded(SUPPORT / "shallow.py").make_shallow()
