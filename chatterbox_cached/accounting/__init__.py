"""What a cache did: counted in this process, added up over all that use a folder, and what failed."""

# The face of this room: the modules that other rooms may import.
__all__ = ["account", "bypasses", "days", "failures", "ledger", "metrics", "process_wide", "stats", "tally"]
