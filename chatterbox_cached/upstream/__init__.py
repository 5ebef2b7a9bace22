"""Everything that knows what Chatterbox looks like: its classes, methods, objects and files."""

# The face of this room: the modules that other rooms may import.
__all__ = [
    "builtin", "calls", "context", "encodings", "families", "guard", "packages", "pt_file", "run", "signatures",
    "slots", "spoken",
]  # fmt: skip
