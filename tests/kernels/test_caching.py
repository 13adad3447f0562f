"""Compiled kernels are kept between processes, never where that is unsafe, and never past an edit.

Most tests run a small pair of kernels, in two files, in fresh processes: that is where a cache matters. Most of
these have the mark `full`, for every process takes a second or two.
"""

import importlib
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_project import CALLEE, CHILD, Project, finish, on_posix

from oasis_alloc.kernels import _jit

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


@pytest.mark.full
def test_second_process_compiles_nothing(warm: Project) -> None:
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 1, 0)
    assert again["compiled_at_import"] == 0
    assert again["changed"] == [], "a global setting of numba was changed"
    for folder in (warm.cache, Path(again["path"])):
        assert folder.stat().st_mode & 0o777 == 0o700 or sys.platform == "win32"


# Of another length: bytecode is told apart by that, and by the second of its source.
@pytest.mark.parametrize("factor", ["2.0", "30.0"])
def test_an_edit_of_a_callee_in_another_file_is_seen_where_it_is_imported(
    project: Project, factor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(project.cache))
    monkeypatch.syspath_prepend(project.folder)
    assert total_of(monkeypatch) == (12.0, 0)
    (project.folder / "callee.py").write_text(CALLEE.replace("2.0", factor))
    assert total_of(monkeypatch) == (6.0 * float(factor), int(factor == "2.0"))


def total_of(monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    """(what the kernel of a project makes of 0, 1, 2, 3; whether it was in the cache), both files imported again."""
    importlib.invalidate_caches()
    for name in ("caller", "callee"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    kernel = importlib.import_module("caller").total
    return kernel(np.arange(4.0), 4), sum(kernel.stats.cache_hits.values())


@pytest.mark.full
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
