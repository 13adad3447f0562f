"""Damaged and forged snapshots in Java: refused by name in little memory, or policies that answer requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from effort import full_only
from jvm_host import GOLDEN, QUICK, lines, run
from policies import small

from oasis_alloc.serving.file.codec import encode
from oasis_alloc.serving.file.container import to_bytes

REASONS = {
    "unreadable", "truncated", "not a snapshot", "newer schema", "tampered", "dtype", "shape", "not finite", "content",
}  # fmt: skip
LITTLE = (*QUICK, "-Xmx64m")


@pytest.mark.full
@pytest.mark.parametrize("forgeries", [1_500, *full_only(50_000)])
def test_damaged_and_forged_bytes(tmp_path: Path, forgeries: int) -> None:
    """Every length, every byte, and forgeries with a right checksum, of a policy with every kind of content."""
    (tmp_path / "small").write_bytes(to_bytes(*encode(small())))
    found = lines(run("oasisalloc.Hostile", str(forgeries), tmp_path / "small", flags=LITTLE))
    assert found.pop("wrong") == "0"
    reasons = {name.split(" ", 1)[1] for name in found}
    assert reasons <= REASONS | {"loaded"}
    assert {"truncated", "tampered", "not a snapshot", "content", "loaded", "shape"} <= reasons
    assert "damaged loaded" not in found


@pytest.mark.full
def test_damaged_and_forged_golden_files() -> None:
    files = [GOLDEN / f"{name}.safetensors" for name in ("columns", "rules", "keep")]
    found = lines(run("oasisalloc.Hostile", "4000", *files, flags=LITTLE))
    assert found["wrong"] == "0"


def header(change: Callable[[Any], Any]) -> bytes:
    """The small policy with another document, and a right checksum."""
    arrays, of = encode(small())
    document = json.loads(of["policy"])
    change(document)
    return to_bytes(arrays, {**of, "policy": json.dumps(document, separators=(",", ":"))})


HUGE: dict[str, Callable[[Any], Any]] = {
    "items": lambda of: of.update(n_items=2**31 - 1),
    "bare items": lambda of: of.update(n_items=2**31 - 1, items=None, rank=False, item_keys=[], terms=[]),
    "slots": lambda of: of["slate"].update(size=2**31 - 1),
}


@pytest.mark.full
def test_numbers_in_a_file_do_not_decide_how_much_memory_it_takes(tmp_path: Path) -> None:
    """A snapshot of 5 kB that says it has two billion items or slots, in a JVM with 64 MB."""
    (tmp_path / "labels").write_bytes(to_bytes(*encode(small())))
    for name, change in HUGE.items():
        (tmp_path / name).write_bytes(header(change))
    found = run("service.Check", tmp_path / "labels", tmp_path / "labels", *(tmp_path / name for name in HUGE),
                flags=LITTLE)  # fmt: skip
    said = dict(line.split(" = ", 1) for line in found.stdout.splitlines())
    assert said["slots"] == "loaded"
    assert said["items"].startswith("refused: ")
    assert said["bare items"].startswith("refused: content: n_items is 2147483647")
