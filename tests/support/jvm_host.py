"""The library in Java (examples/jvm-host) for tests: compiled once per process, and run without a slow compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "examples" / "jvm-host" / "src"
GOLDEN = ROOT / "tests" / "golden"
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
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="oasis-alloc-jvm-")  # removed when the process ends


@cache
def classes() -> Path:
    """The classes of the library and of its tests."""
    java()
    folder = Path(_folder().name)
    javac = shutil.which("javac")
    assert javac is not None
    sources = sorted(map(str, SOURCES.rglob("*.java")))
    command = [javac, *(f"-J{flag}" for flag in QUICK), "--release", "17", "-Xlint:all", "-Werror"]
    subprocess.run([*command, "-d", str(folder), *sources], check=True, timeout=300)
    return folder


def run(
    program: str, *arguments: Path | str, flags: tuple[str, ...] = QUICK, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a class with arguments."""
    command = [java(), *flags, "-Dfile.encoding=UTF-8", "-cp", str(classes()), program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=timeout)


def run_source(path: Path) -> subprocess.CompletedProcess[str]:
    """Run a file of source that uses the library."""
    command = [java(), *QUICK, "-Dfile.encoding=UTF-8", "-cp", str(classes()), str(path)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What a program prints as `name = value`, line by line; it has to end well."""
    assert done.returncode == 0, done.stderr
    return dict(line.split(" = ", 1) for line in done.stdout.splitlines())
