"""The page to look at: voices, savings, tiers and settings in a browser, served to this user alone."""

# The face of this room: the modules that other rooms may import.
__all__ = ["app", "server"]
