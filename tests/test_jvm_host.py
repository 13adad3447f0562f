"""The host in plain Java reads the same snapshots and answers the golden vectors to the last bit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOST = ROOT / "examples" / "jvm-host" / "ScoreHost.java"
GOLDEN = Path(__file__).parent / "golden"
NAMES = ["plain", "columns", "rules", "keep"]


@pytest.fixture(scope="module")
def java() -> str:
    """A JDK that can run a source file with records and switch expressions."""
    found = shutil.which("java")
    if found is None or shutil.which("javac") is None:
        pytest.skip("there is no JDK on the path")
    version = subprocess.run([found, "-version"], capture_output=True, text=True, check=True).stderr
    number = re.search(r'version "(\d+)', version)
    if number is None or int(number[1]) < 17:
        pytest.skip(f"the host in Java needs JDK 17 or later, here is {version.splitlines()[0]}")
    return found


def run(java: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", str(HOST), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_same_scores_and_slates(java: str) -> None:
    done = run(java, *(GOLDEN / f"{name}.{kind}" for name in NAMES for kind in ("safetensors", "json")))
    assert done.returncode == 0, done.stderr
    said = re.findall(r"(\d+) scores and (\d+) slates, 0 wrong", done.stdout)
    requests = [json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["requests"] for name in NAMES]
    assert said == [(str(sum(len(r["ids"]) for r in each)), str(len(each))) for each in requests]


def test_a_wrong_answer_and_a_tampered_file_are_noticed(java: str, tmp_path: Path) -> None:
    text = (GOLDEN / "plain.json").read_text(encoding="utf-8")
    vectors = json.loads(text)
    answered = next(request for request in vectors["requests"] if len(request["slate"]) > 1)
    answered["scores"][0] = (float.fromhex(answered["scores"][0]) * (1 + 2**-52)).hex()
    answered["slate"].reverse()
    (tmp_path / "wrong.json").write_text(json.dumps(vectors), encoding="utf-8")
    raw = bytearray((GOLDEN / "plain.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "tampered").write_bytes(raw)
    good = GOLDEN / "plain.safetensors"
    done = run(java, good, tmp_path / "wrong.json", tmp_path / "tampered", tmp_path / "wrong.json")
    assert ", 2 wrong" in done.stdout
    assert re.search(r"score 0x1\.\w+p\S+, expected 0x1\.", done.stderr)
    assert re.search(r"slate \[.*\], expected \[", done.stderr)
    assert done.returncode == 3
    assert "refused: tampered" in done.stderr
