"""The disk tier: an index in SQLite and one file per entry, by diskcache; nothing that it finds there is believed."""

# The face of this room: the modules that other rooms may import.
__all__ = ["database", "either", "folder", "frozen", "repair", "rights", "stored", "tier"]
