"""Where entries are kept, nearest first: memory, disk, and whatever shared store speaks the same small protocol."""
