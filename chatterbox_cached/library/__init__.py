"""Voices as a user deals with them: listed, found, prepared ahead, carried to another machine, and what they saved."""

# The face of this room: the modules that other rooms may import.
__all__ = ["everywhere", "exchange", "exchange_names", "named_voices", "savings", "tier_states", "voices", "warming"]
