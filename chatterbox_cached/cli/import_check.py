"""What becomes of Chatterbox when it is imported with the cache on, as JSON; run by ``doctor``.

In a process of its own, since an import that fails can take the process with it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import import_module
from typing import Any

from ..patching import activation
from ..upstream.families import FAMILIES, Family


def main() -> None:
    """Print one line, whatever libraries print while they are imported."""
    with contextlib.redirect_stdout(sys.stderr):
        activation.enable()
        report = {
            "classes": {family.name: _state_of(family) for family in FAMILIES},
            "devices": _devices(),
            "watermarker": _has_watermarker(),
        }
    print(json.dumps(report))


def _state_of(family: Family) -> dict[str, Any]:
    """Whether the class is there, and patched; else what its import said: nothing where this version has none."""
    try:
        owner = getattr(import_module(family.module), family.class_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == family.module:
            return {"found": False, "patched": False, "error": ""}
        return {"found": False, "patched": False, "error": f"{type(error).__name__}: {error}"}
    from ..patching.wrappers import MethodWrapper

    methods = (vars(owner).get(name) for name in (family.prepare, family.generate))
    return {"found": True, "patched": all(isinstance(method, MethodWrapper) for method in methods)}


def _devices() -> list[str]:
    try:
        from ..identity import compatibility

        return list(compatibility.devices())
    except Exception:  # a PyTorch that can't be loaded, which its classes' errors tell of
        return []


def _has_watermarker() -> bool:
    """Whether Chatterbox can make its watermarker, without which no model can be built."""
    try:
        return import_module("perth").PerthImplicitWatermarker is not None
    except Exception:
        return False


if __name__ == "__main__":
    main()
