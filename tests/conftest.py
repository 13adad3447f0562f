"""What all tests share: where the data sets are, how hard Hypothesis tries, and on how many cores tests run."""

import gc
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import passed_before
import pytest
from effort import FULL, leave_few
from hypothesis import HealthCheck, settings
from passed_before import pytest_runtest_call as pytest_runtest_call

# "fast" is what `pytest` does by itself: few examples, the same for everybody, so what passes here passes elsewhere.
# "full" is what `nox -s full` and `.ci/run` do: all that a test asks for, and other ones every time outside CI.
# No deadline in either: the first example compiles the kernels.
settings.register_profile(
    "full", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=FULL, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.register_profile("fast", settings.get_profile("full"), derandomize=True, max_examples=FULL // 20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "fast")

_ROOT = Path(__file__).resolve().parents[1]

# They have no examples, and as modules of examples two of them would have one name.
collect_ignore_glob = ["*/conftest.py"]


class _OwnBytecode:
    """Keeps the bytecode of this repository in the ignored build/; that of other packages is read where it is.

    pytest rewrites the asserts of every test file, which takes as long as the rest of its collection, and keeps the
    result as bytecode. Where Python is told to leave none next to the sources, it goes there.
    """

    def __init__(self) -> None:
        self._names = {"benchmarks", "oasis_alloc", "tests", *(file.stem for file in (_ROOT / "tests").rglob("*.py"))}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Find nothing: prepare for the finder of this import, and for its loader, which reads the settings next."""
        ours = name.partition(".")[0] in self._names
        sys.dont_write_bytecode = not ours
        sys.pycache_prefix = str(_ROOT / "build" / "bytecode") if ours else None


if sys.dont_write_bytecode and sys.pycache_prefix is None:
    sys.meta_path.insert(0, _OwnBytecode())  # type: ignore[arg-type]  # finders are told by their methods

# More workers than this wait for each other's kernels.
_MOST_WORKERS = 8

# The kernels that take longest to compile are those of these files, and files of these folders need few kernels.
_COMPILED_FIRST = (
    "tests/solvers/test_slate_rules.py", "tests/serving/test_select_batch.py", "tests/results/test_orderings.py",
    "tests/kernels/",
)  # fmt: skip
_FEW_KERNELS = ("tests/common/", "tests/data/", "tests/project/", "tests/statement/")
# They are in those folders, but their solves need the kernels of rules, which the other worker compiles first.
_COMPILED_ELSEWHERE = (
    "tests/common/test_pickling.py", "tests/common/test_threads.py", "tests/data/test_by_label.py",
    "tests/data/test_multi_keys.py", "tests/project/test_docs.py",
)  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, Any, Any]:
    """Look for examples only in files of tests that have a prompt: few have, and looking takes a while in each."""
    found = yield
    if file_path.suffix != ".py" or b">>>" in file_path.read_bytes():
        return found
    return [one for one in found if type(one).__name__ != "DoctestModule"]


_OPEN = pytest.StashKey[ExitStack]()
_LOCKS = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Note what passes, if asked to; in a worker, compile no kernel that another worker compiles."""
    passed_before.register(config)
    opened = config.stash[_OPEN] = ExitStack()
    folder = getattr(config, "workerinput", {}).get("kernel_locks")
    if folder is not None:
        from compiled_once import compiled_once

        opened.enter_context(compiled_once(Path(folder)))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the locks of this run are; the controller makes the folder and removes it."""
    stash = node.config.stash
    if _LOCKS not in stash:
        stash[_LOCKS] = stash[_OPEN].enter_context(tempfile.TemporaryDirectory(prefix="oasis-alloc-locks-"))
    node.workerinput["kernel_locks"] = stash[_LOCKS]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give up the locks, or remove their folder."""
    config.stash[_OPEN].close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Workers of `-n auto`: one per core, but none on a single core or for files that are named one by one."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # xdist reads it
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = all(".py" in argument for argument in config.args)
    return 0 if few or cores == 1 else min(cores, _MOST_WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Mark what only full runs do, before pytest selects by marks; then order what is left.

    One worker compiles while another runs what needs few kernels: each starts with an equal part, in order.
    """
    leave_few(items)
    yield
    passed_before.leave_out(config, items)
    first = sorted(
        (item for item in items if item.nodeid.startswith(_COMPILED_FIRST)),
        key=lambda item: next(k for k, name in enumerate(_COMPILED_FIRST) if item.nodeid.startswith(name)),
    )
    few = sorted(
        (item for item in items if item.nodeid.startswith(_FEW_KERNELS)),
        key=lambda item: item.nodeid.startswith(_COMPILED_ELSEWHERE),
    )
    rest = [item for item in items if not item.nodeid.startswith(_COMPILED_FIRST + _FEW_KERNELS)]
    before = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *rest[:before], *few, *rest[before:]]


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: collections of garbage pass it over, which saves seconds.

    As does a collection of the youngest objects after 20,000 of them, and not after 700.
    """
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the public data sets; tests that ask for it are skipped where it is absent."""
    chosen = os.environ.get("OASIS_ALLOC_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data sets: {folder} is not a directory; set OASIS_ALLOC_DATA to where they are")
    return folder


@pytest.fixture(scope="class")  # of every function by itself: Hypothesis takes no fixtures of scope "function"
def small_steps() -> Any:
    """Every path of large problems, on small ones."""
    from large_paths import large_paths

    with large_paths():
        yield


@pytest.fixture
def tuned() -> Iterator[Any]:
    """Call `tuned(tuning, name=value)`: the change holds until the test ends."""
    with ExitStack() as stack:
        yield lambda tuning, **changes: stack.enter_context(tuning.using(**changes))
