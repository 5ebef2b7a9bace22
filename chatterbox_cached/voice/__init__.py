"""What a voice is, and its bytes: in memory, as an entry, in a bundle. Knows neither models nor folders."""

# The face of this room: the modules that other rooms may import.
__all__ = ["bundle", "bundle_names", "entry_format", "fields", "key_format", "signing", "snapshot"]
