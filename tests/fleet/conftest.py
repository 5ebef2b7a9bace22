"""What the tests of shared stores have in common with those of the command line and of the real package."""

from tests.support.command_fixtures import cli, environment, standin_environment, unladen, write
from tests.support.model_fixtures import one_thread, upstream_says

__all__ = ["cli", "environment", "one_thread", "standin_environment", "unladen", "upstream_says", "write"]
