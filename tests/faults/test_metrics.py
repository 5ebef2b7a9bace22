"""Metrics of several processes: forks come while threads write them, and no child waits for ever or counts wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHILDREN, SECONDS = 100, 10

FORKS = f"""
import os, threading, time
from prometheus_client import CollectorRegistry, multiprocess
from chatterbox_cached import metrics
from chatterbox_cached.accounting.stats import Stats

metrics.register()
stats, done, counted, waited_for = Stats(), threading.Event(), [], 0

def count():
    number = 0
    while not done.is_set():
        stats.hit("memory", 2.0, 0.5)
        number += 1
    counted.append(number)

threads = [threading.Thread(target=count) for _ in range(4)]
[thread.start() for thread in threads]
for _ in range({CHILDREN}):
    if not (child := os.fork()):
        stats.hit("disk", 2.0, 2.25)  # longer than the preparation had taken
        os._exit(0)
    until = time.monotonic() + {SECONDS}
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            print("a child hangs")
            os._exit(1)
        time.sleep(0.001)
done.set()
[thread.join() for thread in threads]
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
hits = [registry.get_sample_value("chatterbox_cached_hits_total", {{"tier": tier}}) for tier in ("memory", "disk")]
seconds = [registry.get_sample_value(f"chatterbox_cached_{{each}}_seconds_total") for each in ("saved", "lost")]
print(hits == [sum(counted), {CHILDREN}], seconds == [sum(counted) * 1.5, {CHILDREN} * 0.25])
"""


def test_children_that_are_forked_while_threads_count_neither_hang_nor_lose_a_count(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FORKS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("True True\n", "")
