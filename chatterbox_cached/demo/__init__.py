"""Four texts with the cache and without, and a Chatterbox with random weights where the published ones are not."""

# The face of this room: the modules that other rooms may import.
__all__ = ["demonstration", "fleet", "hub", "rehearsal", "shortening"]
