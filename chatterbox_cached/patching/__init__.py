"""How the cache gets into programs: patched classes, drop-ins, and the environment of a Python that starts."""

# The face of this room: the modules that other rooms may import.
__all__ = ["activation", "autostart", "proxies", "wrappers"]
