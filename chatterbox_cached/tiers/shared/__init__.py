"""Stores that machines share: Valkey and its kin, S3 and its kin. What they do when they fail is decided above."""

# The face of this room: the modules that other rooms may import.
__all__ = ["inspection", "protocol", "stores"]
