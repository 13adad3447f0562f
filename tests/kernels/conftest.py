"""Projects with kernels of their own, for tests of the kernel cache."""

import shutil
from pathlib import Path

import pytest
from kernel_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Nothing is compiled yet."""
    return Project(tmp_path)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a process has compiled for one type. Not to be changed: `warm` is a copy."""
    folder = tmp_path_factory.mktemp("compiled")
    cold = Project(folder).run("f8")
    assert (cold["answers"], cold["hits"], cold["misses"]) == ([12.0], 0, 1)
    return folder


@pytest.fixture
def warm(compiled: Path, tmp_path: Path) -> Project:
    """An earlier process has compiled for one type."""
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path)
