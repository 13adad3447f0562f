"""What a file of tests needs: its absence skips the file, and its presence imports nothing before a test runs."""

from importlib.util import find_spec

import pytest


def needs(package: str, reason: str) -> None:
    """Skip the tests of a file where a package is not installed.

    `pytest.importorskip` imports it, in every worker and also where none of the tests is run: a second for `mcp`.
    """
    if find_spec(package) is None:
        pytest.skip(reason, allow_module_level=True)
