"""What the tests of shared stores have from those of faults, of the command line and of the real package."""

from tests.cli.conftest import cli, environment, standin_environment, unladen, write
from tests.faults.conftest import stage
from tests.integration.conftest import upstream_says

__all__ = ["cli", "environment", "stage", "standin_environment", "unladen", "upstream_says", "write"]
