"""One call served: from memory, from the tiers below it, or by upstream, whose work is then kept."""

# The face of this room: the modules that other rooms may import.
__all__ = ["encodings", "own_voice", "voices"]
