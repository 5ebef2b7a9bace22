"""Voices that were given names: which there are, what was kept of each, and how a name stands where a path would."""

# The face of this room: the modules that other rooms may import.
__all__ = ["asked", "files", "library", "models", "names", "record", "sharing"]
