"""Does what ``chatterbox_cached.pth`` does, where the package is not installed but found through a path.

``chatterbox-cached run`` puts this folder first on PYTHONPATH. The folder leaves ``sys.path`` again, and the
sitecustomize that would have been loaded without it is loaded.
"""

import os
import sys

_here = os.path.dirname(__file__)
_root = os.path.dirname(os.path.dirname(os.path.dirname(_here)))
if _root not in sys.path:
    sys.path.append(_root)  # last, so that it can't stand before anything of the program's

import chatterbox_cached_startup  # type: ignore[import-untyped,unused-ignore]  # noqa: E402, F401

sys.path[:] = [folder for folder in sys.path if folder != _here]
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401  # if there is none, Python expects this error
