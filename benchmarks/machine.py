"""What a measurement has to say of where it was made, and the memory of a process."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("oasis_alloc", "numpy", "scipy", "numba", "highspy", "ortools", "cvxpy", "clarabel", "osqp", "scs")


def available() -> int:
    """Bytes of memory that programs can still have."""
    import psutil

    return int(psutil.virtual_memory().available)


def description() -> dict[str, Any]:
    """Machine, versions and date, as the benchmarks write them into their JSON."""
    import psutil

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(psutil.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def heading(about: dict[str, Any]) -> str:
    """The same in two lines."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    size = f"{about['cores']} cores, {about['memory_gib']} GiB, load {about['load']}"
    when = f"{about['date']}, commit {about['commit'] or 'unknown'}"
    return f"{when}, {about['processor']}, {size}\nPython {about['python']}, {versions}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of this checkout, with `-dirty` where files differ from it; None where there is no checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=7"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def today() -> str:
    """The date, UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def processor() -> str:
    """What the system calls its processor."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def forget_peak() -> None:
    """Reset the peak of this process, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak then counts from the start of the process
        return


def resident(pid: int | None = None) -> float:
    """Megabytes that a process holds now."""
    import psutil

    return float(psutil.Process(pid).memory_info().rss) / 1e6


def peak(pid: int | None = None) -> float:
    """Megabytes that a process has held at most; what it holds now where the system keeps no peak."""
    status = Path(f"/proc/{os.getpid() if pid is None else pid}/status")
    try:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import psutil

    information = psutil.Process(pid).memory_info()
    return float(getattr(information, "peak_wset", information.rss)) / 1e6
