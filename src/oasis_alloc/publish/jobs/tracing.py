"""One OpenTelemetry trace per run, if the API is installed: a span of the run, and one per step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[Any]:
    """A span for the block, with attributes; None where OpenTelemetry is not installed.

    >>> with span("oasis_alloc.job", run="monday"):
    ...     pass
    """
    try:
        from opentelemetry import trace
    except ImportError:
        yield None
        return
    with trace.get_tracer("oasis_alloc").start_as_current_span(name, attributes=attributes) as one:
        yield one
