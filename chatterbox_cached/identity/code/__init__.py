"""What code a preparation would run, and what else it would do."""

# The face of this room: the modules that other rooms may import.
__all__ = ["forwarding", "history", "looks", "preparing", "running", "tensors"]
