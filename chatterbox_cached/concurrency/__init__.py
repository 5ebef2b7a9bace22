"""Locks, turns and forks: what several threads and processes share. Knows nothing of voices."""

# The face of this room: the modules that other rooms may import.
__all__ = ["breaker", "deadline", "forks", "one_by_one", "signals", "singleflight", "turns"]
