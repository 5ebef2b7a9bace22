"""Prometheus metrics: ``chatterbox_cached.metrics.register()``; see docs/metrics.md."""

from __future__ import annotations

from .accounting.metrics import register

__all__ = ["register"]
