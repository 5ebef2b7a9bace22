"""What Prometheus reads of one process is what was counted in it, under names as it wants them."""

from __future__ import annotations

import gc
import json
import math
import re
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import chatterbox_cached
from chatterbox_cached import ConditionalCache, metrics
from chatterbox_cached.accounting import process_wide
from chatterbox_cached.accounting.stats import ENCODERS, PREPARE_BOUNDS, Stats

ROOT = Path(__file__).parents[2]
Scrape = dict[tuple[str, str], float]  # by series and the value of its label


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """One that shows what is counted from here on."""
    gc.collect()
    monkeypatch.setattr(process_wide, "_living", {})
    monkeypatch.setattr(process_wide, "_ended", deque())
    monkeypatch.setattr(process_wide, "_past", defaultdict(int))
    monkeypatch.setattr(process_wide, "_caches", WeakSet())
    made = CollectorRegistry()
    metrics.register(made)
    return made


def scraped(registry: CollectorRegistry) -> Scrape:
    """Every series that is not 0."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, next(iter(each.labels.values()), "")): each.value for each in samples if each.value}


def count_everything(stats: Stats) -> None:
    stats.hit("memory", 2.0, 0.5)
    stats.hit("disk", 3.0, 0.25, ENCODERS)
    stats.miss()
    stats.prepared(1.5)
    stats.bypass("disabled")
    stats.bypass("disabled")
    stats.not_stored("audio changed")
    stats.error("disk put")
    stats.mismatch()
    stats.found_class("chatterbox.tts.ChatterboxTTS", "voices")


COUNTED = {
    ("chatterbox_cached_hits_total", "memory"): 1,
    ("chatterbox_cached_hits_total", "disk"): 1,
    ("chatterbox_cached_seam_hits_total", "voices"): 1,
    ("chatterbox_cached_seam_hits_total", "encoders"): 1,
    ("chatterbox_cached_misses_total", ""): 1,
    ("chatterbox_cached_bypasses_total", "disabled"): 2,
    ("chatterbox_cached_not_stored_total", "audio changed"): 1,
    ("chatterbox_cached_errors_total", "disk put"): 1,
    ("chatterbox_cached_mismatches_total", ""): 1,
    ("chatterbox_cached_saved_seconds_total", ""): 4.25,
}


def without_preparations(shown: Scrape) -> Scrape:
    return {series: value for series, value in shown.items() if "_prepare_" not in series[0]}


def test_everything_that_is_counted_is_shown(registry: CollectorRegistry) -> None:
    stats = Stats()
    count_everything(stats)
    assert without_preparations(scraped(registry)) == COUNTED


def test_what_was_counted_before_registering_is_shown(registry: CollectorRegistry) -> None:
    stats = Stats()
    count_everything(stats)
    later = CollectorRegistry()
    metrics.register(later)
    assert scraped(later) == scraped(registry)
    assert without_preparations(scraped(later)) == COUNTED


def test_caches_are_added_up_and_those_that_are_gone_stay_counted(registry: CollectorRegistry) -> None:
    stats, other = Stats(), Stats()
    stats.miss()
    other.miss()
    other.bypass("disabled")
    counted = {("chatterbox_cached_misses_total", ""): 2, ("chatterbox_cached_bypasses_total", "disabled"): 1}
    assert scraped(registry) == counted
    del other
    gc.collect()
    assert scraped(registry) == counted
    Stats().miss()
    gc.collect()
    assert scraped(registry)["chatterbox_cached_misses_total", ""] == 3


def test_what_is_kept_of_caches_that_are_gone_does_not_grow(registry: CollectorRegistry) -> None:
    for _ in range(50):
        Stats().miss()
    gc.collect()
    stats = Stats()
    assert len(process_wide._living) == 1
    assert scraped(registry) == {("chatterbox_cached_misses_total", ""): 50}
    del stats


def test_a_hit_that_took_longer_than_the_preparation_lowers_no_counter(registry: CollectorRegistry) -> None:
    stats = Stats()
    stats.hit("disk", 2.0, 0.5)
    before = scraped(registry)
    stats.hit("disk", 1.0, 1.75)
    after = scraped(registry)
    assert all(after[series] >= value for series, value in before.items())
    saved, lost = (after[f"chatterbox_cached_{each}_seconds_total", ""] for each in ("saved", "lost"))
    assert (saved, lost, saved - lost) == (1.5, 0.75, stats.snapshot()["saved_seconds"])


def test_preparations_are_in_the_bucket_that_holds_them(registry: CollectorRegistry) -> None:
    stats = Stats()
    for seconds in (0.01, 0.05, 0.3, 1.0, 1.01, 500.0):
        stats.prepared(seconds)
    stats.prepared(0.0)  # upstream raised
    shown = scraped(registry)
    named = {"+Inf" if bound == math.inf else str(bound): bound for bound in PREPARE_BOUNDS}
    cumulative = {le: shown["chatterbox_cached_prepare_seconds_bucket", le] for le in named}
    expected = {
        le: sum(seconds <= bound for seconds in (0.01, 0.05, 0.3, 1.0, 1.01, 500.0)) for le, bound in named.items()
    }
    assert cumulative == expected
    assert shown["chatterbox_cached_prepare_seconds_count", ""] == 6
    assert shown["chatterbox_cached_prepare_seconds_sum", ""] == stats.snapshot()["prepare_seconds"]


def test_sizes_are_those_of_the_statistics_and_a_folder_counts_once(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    caches = [ConditionalCache(tmp_path / "a"), ConditionalCache(tmp_path / "a"), ConditionalCache()]
    for number, cache in enumerate(caches):
        cache.serving.store.memory.put("a", _Sized(100 + number))
    for cache in caches[:2]:
        cache.serving.store.lower.put("v1/" + "a" * 64 + "/" + "b" * 64, b"entry")
    disk = caches[0].get_cache_stats()
    assert disk["disk_cached_items"] == 1
    assert scraped(registry) == {
        ("chatterbox_cached_memory_entries", ""): 3,
        ("chatterbox_cached_memory_bytes", ""): 303,
        ("chatterbox_cached_disk_entries", ""): 1,
        ("chatterbox_cached_disk_bytes", ""): round(disk["disk_cache_size_mb"] * 1e6),
    }


class _Sized:
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_registering_again_is_no_error_and_shows_nothing_twice(registry: CollectorRegistry) -> None:
    stats = Stats()
    stats.miss()
    metrics.register(registry)
    assert scraped(registry) == {("chatterbox_cached_misses_total", ""): 1}
    metrics.register()
    metrics.register()
    assert scraped(prometheus_client.REGISTRY)["chatterbox_cached_misses_total", ""] == 1


def families(registry: CollectorRegistry) -> Iterator[Any]:
    yield from text_string_to_metric_families(generate_latest(registry).decode())


def test_names_are_such_as_prometheus_wants(registry: CollectorRegistry) -> None:
    stats = Stats()
    count_everything(stats)
    names = {"counter": r"\w+", "histogram": r"\w+_seconds", "gauge": r"\w+_(entries|bytes)"}
    found = list(families(registry))
    assert len(found) == 14
    for family in found:
        assert re.fullmatch(f"chatterbox_cached_{names[family.type]}", family.name)
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}


def test_every_metric_is_in_the_page(registry: CollectorRegistry) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    shown = [family.name + ("_total" if family.type == "counter" else "") for family in families(registry)]
    assert [name for name in shown if f"| `{name}" not in page] == []


# The dashboard

SELECTOR = re.compile(r'(?P<name>[a-zA-Z_:][\w:]*)\{job=~"\$job"\}(\[\$__(rate_interval|range)\])?')
WORDS = {"sum", "max", "by", "rate", "histogram_quantile", "or", "vector"}


def expressions() -> list[tuple[str, str]]:
    """Every expression of the dashboard, with the legend of what it draws."""
    board = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
    return [(target["expr"], target["legendFormat"]) for panel in board["panels"] for target in panel["targets"]]


def unknown(expr: str, legend: str, labels: dict[str, set[str]]) -> list[str]:
    """What an expression names that is not there, and what is left over of it. ``labels``: by series."""
    named = [found["name"] for found in SELECTOR.finditer(expr)]
    known = set().union(*(labels.get(name, set()) for name in named))
    rest = SELECTOR.sub("0", expr)
    words = [word for word in re.findall(r"[a-zA-Z_]\w*", rest) if word not in WORDS | known]
    legends = [label for label in re.findall(r"\{\{(\w+)\}\}", legend) if f"by ({label})" not in expr]
    signs = [] if re.fullmatch(r"[\w\s().,/+-]+", rest) and rest.count("(") == rest.count(")") else [rest]
    return [*(name for name in named if name not in labels), *words, *legends, *signs]


def test_the_dashboard_names_what_is_there_and_leaves_nothing_out(registry: CollectorRegistry) -> None:
    stats = Stats()
    count_everything(stats)
    samples = [sample for family in families(registry) for sample in family.samples]
    labels: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        labels[sample.name] |= set(sample.labels)
    assert [(expr, amiss) for expr, legend in expressions() if (amiss := unknown(expr, legend, dict(labels)))] == []
    drawn = {found["name"] for expr, _ in expressions() for found in SELECTOR.finditer(expr)}
    assert drawn == set(labels) - {f"chatterbox_cached_prepare_seconds_{each}" for each in ("count", "sum")}


@pytest.mark.parametrize(
    ("expr", "amiss"),
    [
        ('sum by (tier) (rate(a_total{job=~"$job"}[$__rate_interval]))', []),
        ('sum by (tier) (rate(b_total{job=~"$job"}[$__rate_interval]))', ["b_total", "tier"]),
        ('sum by (place) (a_total{job=~"$job"})', ["place", "tier"]),
        ('sum by (tier) (a_total{job=~"$job"}', ["sum by (tier) (0"]),
        ("sum by (tier) (a_total)", ["tier", "a_total"]),
    ],
)
def test_an_expression_that_is_wrong_is_seen(expr: str, amiss: list[str]) -> None:
    assert unknown(expr, "{{tier}}", {"a_total": {"tier"}}) == amiss


def run(code: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_torch_nor_chatterbox_is_loaded() -> None:
    code = """
    import sys, chatterbox_cached, prometheus_client
    chatterbox_cached.metrics.register()
    chatterbox_cached.enable()
    chatterbox_cached.metrics.register()
    shown = prometheus_client.generate_latest().decode()
    print("chatterbox_cached_misses_total 0.0" in shown, {"torch", "chatterbox"} & set(sys.modules))
    """
    assert run(re.sub(r"^    ", "", code, flags=re.MULTILINE)) == "True set()\n"


def test_where_the_client_is_missing_it_is_said_what_to_install() -> None:
    # A Python that sees no installed package.
    code = f"""if True:
    import sys
    sys.path.append({str(ROOT)!r})
    from chatterbox_cached import ChatterboxCachedError, metrics
    try:
        metrics.register()
    except ChatterboxCachedError as error:
        print(isinstance(error, ImportError), error)
    """
    said = run(code, "-I", "-S")
    assert said.startswith("True Metrics need prometheus_client")
    assert "pip install 'chatterbox-cached[metrics]'" in said


def test_the_module_is_there_without_an_import_of_its_own() -> None:
    assert run("import chatterbox_cached; print(chatterbox_cached.metrics.register.__name__)") == "register\n"
    assert chatterbox_cached.metrics is metrics
