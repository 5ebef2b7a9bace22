"""The rooms of the package and what each stands on; kept by test_architecture, shown by docs/architecture.md."""

from __future__ import annotations

# Each room, or module of the root, with those it stands on; what these stand on, it may use as well.
STANDS_ON = {
    "": ["voice_library"],
    "__main__": ["cli"],
    "cli": ["demo"],
    "demo": [""],
    "voice_library": ["library", "patching"],
    "metrics": ["accounting"],
    "library": ["cache"],
    "patching": ["cache"],
    "cache": ["serving"],
    "serving": ["named", "verification"],
    "named": ["tiers", "identity"],
    "verification": ["accounting", "tiers", "identity"],
    "accounting": ["tiers.disk", "settings"],
    "tiers": ["tiers.disk", "tiers.shared", "settings"],
    "tiers.disk": ["voice", "concurrency", "log"],
    "tiers.shared": ["addresses", "concurrency", "voice"],
    "identity": ["identity.code"],
    "identity.code": ["upstream"],
    "upstream": ["voice", "notices", "concurrency"],
    "voice": ["errors"],
    "settings": ["notices", "values"],
    "values": ["addresses", "voice"],
    "notices": ["errors", "log"],
    "errors": [],
    "log": [],
    "addresses": [],
    "concurrency": [],
}


def below(room: str) -> set[str]:
    """All that a room may use."""
    return {lower for each in STANDS_ON[room] for lower in {each, *below(each)}}


def room_of(module: str) -> str:
    """The room that a module is in, both named from the package on: tiers.disk for tiers.disk.files."""
    return max((room for room in STANDS_ON if f"{module}.".startswith(f"{room}." if room else "")), key=len)
