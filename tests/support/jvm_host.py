"""The library in Java (examples/jvm-host) for tests: compiled once per process, and run without a slow compiler."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "examples" / "jvm-host" / "src"
GOLDEN = ROOT / "tests" / "golden"
_OLD = 3600.0  # seconds after which classes of other sources are removed
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # half of the time of a program that runs once


def java() -> str:
    """A JDK 17 or later; a test without one is skipped."""
    found, why = _java()
    if found is None:
        pytest.skip(why)
    return found


@cache
def _java() -> tuple[str | None, str]:
    found = shutil.which("java")
    if found is None or shutil.which("javac") is None:
        return None, "there is no JDK on the path"
    version = subprocess.run([found, "-version"], capture_output=True, text=True, check=True).stderr
    number = re.search(r'version "(\d+)', version)
    if number is None or int(number[1]) < 17:
        return None, f"the host in Java needs JDK 17 or later, here is {version.splitlines()[0]}"
    return found, ""


@cache
def classes() -> Path:
    """The classes of the library and of its tests, compiled once for all processes that have the same sources."""
    java()
    javac = shutil.which("javac")
    assert javac is not None
    sources = sorted(SOURCES.rglob("*.java"))
    version = subprocess.run([javac, "-version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(b"\0".join([version, *(path.read_bytes() for path in sources)])).hexdigest()[:16]
    home = ROOT / "build" / "jvm-classes"  # ignored by git, as all of build/
    found = home / digest
    if not found.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            command = [javac, *(f"-J{flag}" for flag in QUICK), "--release", "17", "-Xlint:all", "-Werror"]
            made = Path(folder) / "classes"
            subprocess.run([*command, "-d", str(made), *map(str, sources)], check=True, timeout=300)
            with suppress(OSError):  # another process was faster
                made.rename(found)
        for other in home.iterdir():  # of earlier sources
            if other.name != digest and len(other.name) == len(digest) and other.stat().st_mtime < time.time() - _OLD:
                shutil.rmtree(other, ignore_errors=True)
    return found


def run(
    program: str, *arguments: Path | str, flags: tuple[str, ...] = QUICK, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a class with arguments."""
    command = [java(), *flags, "-Dfile.encoding=UTF-8", "-cp", str(classes()), program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=timeout)


def run_source(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of source that uses the library."""
    command = [java(), *QUICK, "-Dfile.encoding=UTF-8", "-cp", str(classes()), str(path), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What a program prints as `name = value`, line by line; it has to end well."""
    assert done.returncode == 0, done.stderr
    return dict(line.split(" = ", 1) for line in done.stdout.splitlines())
