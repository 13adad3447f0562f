"""Controllers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.controllers.adaptive import Adaptive
from oasis_alloc.pacing.controllers.base import Controller
from oasis_alloc.pacing.controllers.mirror import Mirror
from oasis_alloc.pacing.controllers.pi import PI
from oasis_alloc.pacing.controllers.throttle import Throttle

NAMES = ("adaptive", "mirror", "entropic", "pi", "throttle", "caps")
_OPTIONS = {
    "adaptive": ("first", "track", "slow"), "caps": ("first", "track", "slow"), "mirror": ("c",), "entropic": ("c",),
    "pi": ("kp", "ki", "least", "window"), "throttle": ("first",),
}  # fmt: skip


def controller_of(name: object, options: Mapping[str, Any], requests: float) -> Controller:
    """A controller by its name and options, for flights of about so many requests; `InputError` for others."""
    if not isinstance(name, str) or name not in NAMES:
        near = did_you_mean(str(name), NAMES)
        raise InputError(f"Pacer(controller={shown(name)}): expected one of {', '.join(NAMES)}.{near}")
    for option, value in options.items():
        if option not in _OPTIONS[name]:
            known = ", ".join(_OPTIONS[name])
            raise InputError(f"Pacer(options={{{option!r}: ...}}): {name!r} has no such option; expected {known}.")
        number = as_real(value)
        if number is None or not 0 < number < 1e6:
            raise InputError(f"Pacer(options={{{option!r}: {shown(value)}}}): expected a number above 0.")
    root = max(requests, 1.0) ** -0.5
    if name in ("mirror", "entropic"):
        return Mirror(options.get("c", 2.0) * root, name == "entropic")
    if name == "pi":
        return PI(**options)
    if name == "throttle":
        return Throttle(**options)
    first, track, slow = (
        options.get("first", 2.0 * root),
        options.get("track", min(root**0.5, 0.1)),
        options.get("slow", 1.0),
    )
    return Adaptive(first, track, slow, name == "caps")
