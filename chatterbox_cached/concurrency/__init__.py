"""Locks, turns and forks: what several threads and processes need to share; knows nothing of voices."""
