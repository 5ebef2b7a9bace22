"""``make matrix``: every published Chatterbox, and small programs that bring a copy, with the cache and without it.

Nothing here is collected by pytest: what is to be expected stands in ``expected``, and the run fails where a cell is
another. What was seen is written to docs/compatibility.md.
"""
