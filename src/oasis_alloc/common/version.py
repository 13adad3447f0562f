"""The version of this package, for modules below its top."""

import sys


def package_version() -> str:
    """The version, as `oasis_alloc.__version__` has it.

    >>> package_version()[0].isdecimal()
    True
    """
    return str(sys.modules[__name__.partition(".")[0]].__version__)
