"""Compiled kernels are kept between processes, never where that is unsafe, and never past an edit.

Most tests run a small pair of kernels, in two files, in fresh processes: that is where a cache matters. Most of
these have the mark `full`, for every process takes a second or two.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc
from oasis_alloc.kernels import _jit

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

# The child of a fork compiles for one more type, and so does the parent, after both have used the first.
FORK = """
import os, sys
import numpy as np
from caller import total

assert total(np.ones(3), 3) == 6.0
child = os.fork()
if child == 0:
    right = total(np.ones(3), 3) == 6.0 and total(np.ones(3, dtype=np.int64), 3) == 6.0
    os._exit(0 if right else 1)
assert total(np.ones(3, dtype=np.float32), 3) == 6.0
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="owners, mode bits and fork are POSIX")


class Project:
    """A directory with two kernel files, and a cache directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.cache = folder / "cache"
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

    def entries(self) -> list[Path]:
        return sorted(self.cache.rglob("*.nb?"))


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    return result


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def warm(project: Project) -> Project:
    cold = project.run("f8")
    assert (cold["answers"], cold["hits"], cold["misses"]) == ([12.0], 0, 1)
    return project


def test_second_process_compiles_nothing(warm: Project) -> None:
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 1, 0)
    assert again["compiled_at_import"] == 0
    assert again["changed"] == [], "a global setting of numba was changed"
    for folder in (warm.cache, Path(again["path"])):
        assert folder.stat().st_mode & 0o777 == 0o700 or sys.platform == "win32"


def test_edit_of_a_callee_in_another_file_is_seen(warm: Project) -> None:
    (warm.folder / "callee.py").write_text(CALLEE.replace("2.0", "3.0"))
    edited = warm.run("f8")
    assert (edited["answers"], edited["hits"]) == ([18.0], 0)


@pytest.mark.full
def test_bounds_check_is_not_lost_to_code_compiled_without_it(warm: Project) -> None:
    checked = warm.run("f8", NUMBA_BOUNDSCHECK="1")
    assert (checked["hits"], checked["misses"]) == (0, 1)


@pytest.mark.full
def test_damaged_entries_are_compiled_again(warm: Project) -> None:
    files = warm.entries()
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 0, 1)
    assert warm.run("f8")["hits"] == 1, "the damaged entries were not replaced"


@on_posix
@pytest.mark.parametrize("mode", [0o777, pytest.param(0o2770, marks=pytest.mark.full)])
@pytest.mark.parametrize("level", ["root", pytest.param("leaf", marks=pytest.mark.full)])
def test_directory_that_others_may_write_is_refused(warm: Project, level: str, mode: int) -> None:
    leaf = Path(warm.run("f8")["path"])
    before = {file: file.stat().st_mtime_ns for file in warm.entries()}
    (leaf if level == "leaf" else warm.cache).chmod(mode)
    refused = warm.run("f8", "f4")
    assert (refused["answers"], refused["hits"], refused["misses"]) == ([12.0, 12.0], 0, 2)
    assert {file: file.stat().st_mtime_ns for file in warm.entries()} == before


@on_posix
@pytest.mark.parametrize("ending", ["nbi", pytest.param("nbc", marks=pytest.mark.full)])
def test_file_that_others_may_write_is_not_loaded(warm: Project, ending: str) -> None:
    for file in warm.entries():
        if file.suffix == f".{ending}":
            file.chmod(0o660)
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 0, 1)
    assert warm.run("f8")["hits"] == 1, "files of our own have taken their place"


@pytest.mark.full
@on_posix
def test_file_behind_a_link_is_not_loaded(warm: Project) -> None:
    for file in warm.entries():
        file.rename(file.with_name(f"moved-{file.name}"))
        file.symlink_to(file.with_name(f"moved-{file.name}"))
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 0, 1)


@on_posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o2770, 0o722, 0o777])
def test_no_mode_that_lets_others_write_is_private(tmp_path: Path, mode: int) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"code")
    for path in (folder, file):
        path.chmod(0o755)
    assert _jit._is_private(folder)
    assert _jit._read(str(file)) == b"code"
    for path in (folder, file):
        path.chmod(mode)
    assert not _jit._is_private(folder)
    assert _jit._read(str(file)) is None


@on_posix
def test_file_of_another_user_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kernel.nbi"
    file.write_bytes(b"code")
    file.chmod(0o600)
    assert _jit._read(str(file)) == b"code"
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert _jit._read(str(file)) is None


@pytest.mark.full
@on_posix
@pytest.mark.parametrize("umask", [0o000, 0o002])
def test_whatever_the_umask_files_are_of_their_user_alone(project: Project, umask: int) -> None:
    code = f"import os; os.umask({umask})\n{CHILD}"
    for hits in (0, 1):
        assert finish(project.start(code, "f8"))["hits"] == hits
    for path in (project.cache, *project.cache.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.full
@pytest.mark.parametrize("case", ["off", "below a file", "no home", "home that is not there"])
def test_without_a_place_to_write_kernels_run_uncached(project: Project, case: str) -> None:
    nowhere = project.folder / "nowhere"
    cases: dict[str, dict[str, str | None]] = {
        "off": {"OASIS_ALLOC_CACHE": "off"},
        "below a file": {"OASIS_ALLOC_CACHE": str(project.folder / "callee.py" / "cache")},
        "no home": {"OASIS_ALLOC_CACHE": None, "XDG_CACHE_HOME": None, "HOME": "/", "USERPROFILE": "/"},
        "home that is not there": {
            "OASIS_ALLOC_CACHE": None,
            "XDG_CACHE_HOME": None,
            "HOME": str(nowhere),
            "USERPROFILE": str(nowhere),
        },
    }
    result = project.run("f8", **cases[case])
    assert (result["answers"], result["hits"], result["misses"]) == ([12.0], 0, 1)
    assert result["path"] is None or case == "below a file"
    assert list(project.folder.parent.rglob("*.nb?")) == []
    assert not nowhere.exists()


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may write in every directory")
def test_read_only_cache_is_read_but_not_written(warm: Project) -> None:
    leaf = Path(warm.run("f8")["path"])
    leaf.chmod(0o500)
    result = warm.run("f8", "f4")
    leaf.chmod(0o700)
    assert (result["answers"], result["hits"], result["misses"]) == ([12.0, 12.0], 1, 1)


@pytest.mark.full
def test_cache_directory_of_the_user(project: Project) -> None:
    below = str(project.cache / "below")
    result = project.run("f8", OASIS_ALLOC_CACHE=None, XDG_CACHE_HOME=below)
    assert Path(result["path"]).parent == Path(below) / "oasis_alloc"
    assert project.run("f8", OASIS_ALLOC_CACHE=None, XDG_CACHE_HOME=below)["hits"] == 1


@pytest.mark.full
def test_processes_that_compile_at_once_keep_their_own_code(project: Project) -> None:
    types = ["f8", "f4", "f8"]
    for result in [finish(process) for process in [project.start(CHILD, name) for name in types]]:
        assert result["answers"] == [12.0]
    after = project.run("f8", "f4")
    assert (after["answers"], after["hits"], after["misses"]) == ([12.0, 12.0], 2, 0)
    assert list(project.cache.rglob("*.tmp.*")) == []


@pytest.mark.full
@on_posix
def test_both_sides_of_a_fork_compile_and_keep(project: Project) -> None:
    process = project.start(FORK)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert project.run("f8", "i8", "f4")["hits"] == 3


@pytest.mark.full
@on_posix
def test_what_is_refused_is_said_once_with_the_remedy(warm: Project) -> None:
    warm.cache.chmod(0o770)
    output, errors = warm.start(CHILD, "f8", "f4").communicate(timeout=60)
    assert json.loads(output)["answers"] == [12.0, 12.0]
    said = f"kernels are compiled in every process: {warm.cache} can be written by its group, and it holds code"
    assert errors.count(said) == 1, errors
    assert f"chmod go-w {warm.cache}" in errors


@pytest.mark.full
def test_kernels_that_are_compiled_are_told_and_logged(project: Project) -> None:
    told = """
import logging, sys
import numpy as np
from oasis_alloc.kernels._compiling import told_of_compiling
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
from caller import total
with told_of_compiling(lambda name: print("told", name)):
    total(np.ones(3), 3)
    total(np.ones(3), 3)
total(np.ones(3, np.int64), 3)
"""
    output, errors = project.start(told).communicate(timeout=60)
    lines = output.splitlines()
    assert [line for line in lines if line.startswith("told")] == ["told caller.total"], (lines, errors)
    begun = [
        line for line in lines if line.startswith("oasis_alloc.kernels compiling kernel caller.total, which takes")
    ]
    assert len(begun) == 2, "callees belong to their caller"
    assert str(project.cache) in begun[0]
    assert sum("compiled kernel caller.total in" in line for line in lines) == 2
    assert project.start(told).communicate(timeout=60)[0] == "", "later processes load"


DISABLED = """
import numpy as np, oasis_alloc as oa
from oasis_alloc.commands.doctor import doctor
import argparse
print("doctor", doctor(argparse.Namespace(problem=None)))
try:
    candidates = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    print(oa.solve(oa.Problem(candidates, oa.total("r"))).value)
except oa.SolverError as error:
    print("refused:", error)
from oasis_alloc.kernels.serve import score
try:
    score.best()
except oa.SolverError as error:
    print("refused:", error)
"""


def test_without_the_compiler_kernels_refuse_and_say_why(project: Project) -> None:
    output, errors = project.start(DISABLED, NUMBA_DISABLE_JIT="1").communicate(timeout=60)
    assert "kernels       DO NOT RUN: NUMBA_DISABLE_JIT is set" in output, errors
    assert "doctor 4" in output
    assert output.count("refused: NUMBA_DISABLE_JIT is set, and kernels give correct answers only") == 2, errors


@pytest.mark.full
def test_one_kernel_can_be_stepped_through(project: Project) -> None:
    code = "from oasis_alloc.kernels.draw.sample import uniform; import numpy as np; print(uniform(np.uint64(1 << 63)))"
    asked = {"NUMBA_DISABLE_JIT": "1", "OASIS_ALLOC_PYTHON_KERNELS": "1"}
    output, errors = project.start(code, **asked).communicate(timeout=60)
    assert output.strip() == "0.5", errors


@pytest.mark.full
def test_functions_of_others_run_without_the_compiler(project: Project) -> None:
    code = "import numpy as np; from caller import total; print(float(total(np.ones(3), 3)))"
    output, errors = project.start(code, NUMBA_DISABLE_JIT="1").communicate(timeout=60)
    assert output.strip() == "6.0", errors
    assert project.entries() == []


# The rest needs no process of its own.


def test_every_kernel_file_is_part_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tmp_path / "kernels"
    (kernels / "below").mkdir(parents=True)
    files = [kernels / "one.py", kernels / "two.py", kernels / "below" / "three.py"]
    for file in files:
        file.write_text("A = 1\n")
    monkeypatch.setattr(_jit, "_KERNELS", kernels)
    seen = {_jit._source_hash(kernels)}
    for file in files:
        file.write_text("A = 22\n")
        seen.add(_jit._source_hash(kernels))
    files[0].rename(kernels / "renamed.py")
    seen.add(_jit._source_hash(kernels))
    assert len(seen) == 5
    assert _jit._source_hash(kernels) in seen, "the same sources, another name"


@on_posix
def test_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    assert _jit._is_private(tmp_path)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert not _jit._is_private(tmp_path)
    assert not _jit._make_safe(tmp_path / "leaf")
    assert not (tmp_path / "leaf").exists()


def test_only_the_latest_directories_are_kept(tmp_path: Path) -> None:
    names = [f"0.1.0-numba0.68.1-{sys.implementation.cache_tag}-{k:016x}" for k in range(12)]
    for k, name in enumerate(names):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (k, k))
    (tmp_path / "somebody else's").mkdir()
    _jit._remove_old(tmp_path)
    left = {folder.name for folder in tmp_path.iterdir()}
    assert left == {*names[-_jit._DIRECTORIES_KEPT :], "somebody else's"}


def test_another_kind_of_numba_means_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delattr("numba.core.caching.IndexDataCacheFile")

    @_jit.jit
    def double(x: float) -> float:
        return 2.0 * x

    with caplog.at_level(logging.DEBUG, "oasis_alloc.kernels"):
        assert double(2.0) == 4.0
    assert "cannot be saved" in caplog.text


def test_fast_sums_still_know_nan_and_infinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_ALLOC_CACHE", "off")

    @_jit.jit(fastmath=True)
    def count_finite(values: np.ndarray) -> int:
        count = 0
        for value in values:
            if not np.isnan(value) and not np.isinf(value):
                count += 1
        return count

    @_jit.jit(fastmath=True)
    def ratio(x: float, y: float) -> float:
        return x / y

    assert count_finite(np.array([1.0, np.nan, np.inf, -np.inf, 2.0])) == 2
    assert ratio(1.0, 0.0) == np.inf
