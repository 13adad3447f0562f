"""Policies made by hand, published; keys for their signatures; and a publisher that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from policies import small

import oasis_alloc as oa
from oasis_alloc.publish.keys import make_keys
from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import PolicyData

SOURCE = str(Path(oa.__file__).resolve().parents[1])

# Publishes policies without end, and says which one after each publication.
PUBLISHER = """
import sys
from published import priced
import oasis_alloc as oa
where, first, *sign = sys.argv[1:]
for k in range(int(first), 1_000_000):
    version = oa.publish(priced(k), where, keep=3, sign=sign[0] if sign else None)
    print(version.version, version.policy_id, flush=True)
"""


def priced(k: int) -> oa.Policy:
    """The k-th policy: its prices differ from those of every other one."""
    data = small(created=time.time() - 60.0, shift=0.001 * k)
    parts: dict[str, Any] = {name: getattr(data, name) for name in PolicyData.__dataclass_fields__}
    parts |= {"policy_id": content_id({"prices": data.constraints, "number": k}), "valid_until": None}
    return oa.Policy(replace(data, **parts))


def keys(folder: Path, *names: str) -> list[tuple[Path, Path]]:
    """Pairs of files, (private, public)."""
    return [make_keys(folder / name)[:2] for name in names]


def publisher(where: Path, first: int, *sign: Path) -> subprocess.Popen[str]:
    """A process that publishes without end."""
    support = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([SOURCE, support])}
    command = [sys.executable, "-c", PUBLISHER, str(where), str(first), *map(str, sign)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def killed(process: subprocess.Popen[str], after: float) -> list[tuple[int, str]]:
    """Kill a publisher some seconds after its first publication; return what it has acknowledged."""
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    lines += process.communicate()[0].splitlines()
    return [(int(version), policy_id) for version, policy_id in (line.split() for line in lines if line.strip())]
