"""The command ``chatterbox-cached``."""

# The face of this room: the modules that other rooms may import.
__all__ = ["app"]
