"""Where voices are kept: memory, and the tiers below it as bytes."""

# The face of this room: the modules that other rooms may import.
__all__ = ["base", "fleet", "memory", "named", "shared_names", "store"]
