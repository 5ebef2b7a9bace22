"""Which audio, which model, which circumstances: everything that decides a key."""

# The face of this room: the modules that other rooms may import.
__all__ = ["audio", "compatibility", "key", "origin"]
