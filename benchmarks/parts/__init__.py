"""The parts of a run: name -> function of the stage that returns figures by name. Units stand in the names."""

from __future__ import annotations

from . import calls, crowds, families, first_hit, fleet, growth, jobs, pieces, programs, room, speech, start

PARTS = {
    "start": start.start,
    "fingerprint": first_hit.fingerprint,
    "first_hit": first_hit.first_hit,
    "memory_hit": calls.memory_hit,
    "disk_hit": calls.disk_hit,
    "generate": calls.generate,
    "pieces": pieces.pieces,
    "threads": crowds.threads,
    "growth": growth.growth,
    "warm": jobs.warm,
    "jobs": jobs.jobs,
    "miss": calls.miss,
    "families": families.families,
    "encoders": families.encoders,
    "room": room.room,
    "processes": crowds.processes,
    "job": jobs.job,
    "speech": speech.speech,
    "fleet": fleet.fleet,
    "server": programs.server,
    "clients": programs.clients,
    "book": programs.book,
}
QUICK = ("start", "first_hit", "memory_hit", "disk_hit", "generate", "threads")
