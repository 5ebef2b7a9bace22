"""Voices as a user deals with them: listed, found, prepared ahead, carried to another machine."""

# The face of this room: the modules that other rooms may import.
__all__ = ["everywhere", "exchange", "named_voices", "savings", "tier_states", "voices", "warming"]
