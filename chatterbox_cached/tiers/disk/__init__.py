"""The disk tier: an index in SQLite and one file per entry, by diskcache, and nothing believed that it finds there."""
