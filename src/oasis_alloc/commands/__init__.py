"""The command line: one file per command, and shared helpers. Imported by `__main__` only."""

from importlib.metadata import PackageNotFoundError, version


def installed(package: str, otherwise: str) -> str:
    """The version of an installed package, else `otherwise`.

    >>> installed("no-such-package", "missing")
    'missing'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return otherwise
