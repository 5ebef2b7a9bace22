"""What several tests on the real package share."""

from tests.support.model_fixtures import one_thread, upstream_says

__all__ = ["one_thread", "upstream_says"]
