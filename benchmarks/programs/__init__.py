"""Whole programs, written after what public servers and audiobook makers do, without the cache and with it."""
