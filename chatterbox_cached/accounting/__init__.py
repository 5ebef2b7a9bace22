"""What a cache did: counted in this process, added up over all that use a folder, and what failed."""
