"""How fast rankings in Java are, in CPU time, which other processes on the machine change little."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from jvm_host import ROOT, java

ROW = re.compile(r"^(\w+), ([\w ]+?) +([\d,]+) +([\d.]+) +([\d.]+) +(\d+)(?: +(\d+))?$", re.MULTILINE)
PER_SECOND = 200_000  # rankings of 100 candidates without rules
NO_SLOWER = 0.5  # of the rate of Python's prepared path


@pytest.mark.full
def test_rankings_per_second_and_allocation() -> None:
    java()
    command = [sys.executable, "-m", "benchmarks.jvm", "--seconds", "1", "--requests", "16"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    rows = {(name, how, int(n)): (int(rate), of) for name, how, n, _, _, rate, of in ROW.findall(done.stdout)}
    assert len(rows) == 24, done.stdout
    assert rows["plain", "checked", 100][0] > PER_SECOND
    for n in (100, 1_000):
        for name in ("plain", "rules", "keep"):
            python = rows[name, "Python", n][0]
            assert rows[name, "prepared", n][0] > NO_SLOWER * python, (name, n)
            if name != "plain":  # a checked call looks at every number, which takes as long as a slate without rules
                assert rows[name, "checked", n][0] > NO_SLOWER * python, (name, n)
            assert rows[name, "prepared", n][1] == "0"
            assert int(rows[name, "checked", n][1]) <= 64
