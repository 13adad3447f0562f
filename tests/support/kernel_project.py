"""A small pair of kernels, in two files, that tests of the kernel cache run in fresh processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import oasis_alloc

CALLEE = """
from oasis_alloc.kernels._jit import jit

@jit
def weight(x):
    return 2.0 * x
"""

CALLER = """
from callee import weight
from oasis_alloc.kernels._jit import jit

@jit
def total(values, n):
    result = 0.0
    for k in range(n):
        result += weight(values[k])
    return result
"""

CHILD = """
import json, logging, sys
import numba, numpy as np

logging.basicConfig()
settings = {name: repr(value) for name, value in vars(numba.config).items() if name.isupper()}
from caller import total
compiled_at_import = len(total.signatures)
answers = [float(total(np.arange(4).astype(name), 4)) for name in sys.argv[1:]]
changed = [name for name, value in settings.items() if repr(getattr(numba.config, name)) != value]
stats = total.stats
print(json.dumps({
    "answers": answers, "path": stats.cache_path, "hits": sum(stats.cache_hits.values()),
    "misses": sum(stats.cache_misses.values()), "compiled_at_import": compiled_at_import, "changed": changed,
}))
"""

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="owners, mode bits and fork are POSIX")


class Project:
    """A directory with two kernel files, and a cache directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.cache = folder / "cache"
        if not self.folder.is_dir():
            self.folder.mkdir()
            (self.folder / "callee.py").write_text(CALLEE)
            (self.folder / "caller.py").write_text(CALLER)

    def start(self, code: str, *arguments: str, **changes: str | None) -> subprocess.Popen[str]:
        source = str(Path(oasis_alloc.__file__).resolve().parents[1])
        environment = os.environ | {"OASIS_ALLOC_CACHE": str(self.cache), "PYTHONPATH": source}
        for name in [name for name in environment if name.startswith("NUMBA_")]:
            del environment[name]
        for name, value in changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *types: str, **changes: str | None) -> dict[str, Any]:
        return finish(self.start(CHILD, *types, **changes))

    def leaf(self) -> Path:
        """Where the entries are, below the root."""
        (found,) = {file.parent for file in self.entries()}
        return found

    def entries(self) -> list[Path]:
        return sorted(self.cache.rglob("*.nb?"))


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    return result
