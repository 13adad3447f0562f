"""The checks of this project, each in one command: ``nox -s tests`` and so on; ``nox -l`` lists them.

``.ci/run`` and the GitHub workflow call these same sessions. In an environment that has everything already,
``nox --no-venv --no-install -s lint types`` skips the set-up.
"""

import os
import re
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["tests", "lint", "types", "docs", "gate", "wheel"]  # docs builds the site too
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).resolve().parent

# A link in a page, and a file of this repository that a page names in backticks.
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:src|tests|docs|examples|benchmarks|\.ci|\.github)/[\w./-]+)(?:::\w+)?`")
DATA = (".parquet", ".csv", ".npz", ".npy", ".feather")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and the examples in docstrings, as the README does."""
    session.install("-e", ".[test,mcp]")
    session.run("pytest", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run every test there is, the exhaustive ones too, with all examples of Hypothesis."""
    session.install("-e", ".[test,ray,mcp,browser,signals,mlflow]")
    session.run("pytest", "-m", "", *session.posargs, env={"HYPOTHESIS_PROFILE": "full"})


@nox.session
def floors(session: nox.Session) -> None:
    """Run the tests with the oldest version of every required dependency that pyproject.toml allows."""
    required = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["dependencies"]
    session.install("-e", ".[test]", *(f"{need.replace('>=', '==')}.*" for need in required))
    session.run("pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and report the lines that they do not reach, without compiled kernels; writes coverage.xml."""
    session.install("-e", ".[test]", "pytest-cov>=6.0")
    session.run("pytest", "--cov", "--cov-report=term-missing:skip-covered", "--cov-report=xml", *session.posargs)


@nox.session
def tests_wheel(session: nox.Session) -> None:
    """Run the tests against a wheel: a new one, or `-- dist/oasis_alloc-0.1.0-py3-none-any.whl`."""
    given = [Path(argument).resolve() for argument in session.posargs if argument.endswith(".whl")]
    others = [argument for argument in session.posargs if not argument.endswith(".whl")]
    with tempfile.TemporaryDirectory(prefix="oasis-alloc-wheel-") as folder:
        if not given:
            session.install("build>=1.2")
            session.run("python", "-m", "build", "--wheel", "--outdir", folder, str(ROOT))
        (built,) = given or Path(folder).glob("*.whl")
        session.install(f"{built}[test]")
        session.install("--force-reinstall", "--no-deps", str(built))  # of the same version, but newer
    where = "import oasis_alloc, sys; assert oasis_alloc.__file__.startswith(sys.prefix), oasis_alloc"
    session.run("python", "-P", "-c", where, env={"PYTHONPATH": None})
    session.run("pytest", *(others or ["tests"]), env={"PYTHONPATH": None})  # not src: the wheel, not the checkout


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff, its formatter, the spell checker and the check of banned words over everything."""
    session.install("ruff~=0.17.0", "codespell>=2.4")
    session.run("ruff", "check", *(session.posargs or ["."]))
    session.run("ruff", "format", "--check", *(session.posargs or ["."]))
    session.run("codespell")
    session.run("python", "tests/project/test_words.py")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy, strict, over the package, the examples and the benchmarks."""
    session.install("-e", ".[test,dev]")
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples in docstrings, check that what the pages link to or name is there, and build the site."""
    session.install("-e", ".[test,docs]")
    missing = [line for page in _pages() for line in _missing(page)]
    if missing:
        session.error("\n".join(["these pages name what is not there:", *missing]))
    session.run("pytest", "-q", "src", *session.posargs)
    _build_site(session)


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation site into docs/_build/html, with warnings as errors; notebooks run."""
    session.install("-e", ".[docs]")
    _build_site(session)


@nox.session
def gate(session: nox.Session) -> None:
    """Compare the work that is done, and how long parts take, with what is kept; `-- --accept "reason"` keeps it."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "benchmarks.gate", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Time this package beside its peers on the same problems; `-- --help` lists the options."""
    session.install("-e", ".[test,bench]")
    session.run("python", "-m", "benchmarks.peers", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Judge random programs by an independent solver: `-- --programs 5000 --seed 1`; `-- --one 17` prints one."""
    session.install("-e", ".[test]")
    session.run("python", "tests/support/fuzz_programs.py", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions, install the wheel away from the checkout, and run the demo there."""
    session.install("build>=1.2")
    with tempfile.TemporaryDirectory(prefix="oasis-alloc-wheel-") as folder:
        away = Path(folder)
        session.run("python", "-m", "build", "--outdir", str(away / "dist"), str(ROOT))
        (built,) = (away / "dist").glob("*.whl")
        (source,) = (away / "dist").glob("*.tar.gz")
        _check_contents(session, built, source)

        session.run("python", "-m", "venv", str(away / "venv"))
        programs = away / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        python, command = str(programs / "python"), str(programs / "oasis-alloc")
        # A fresh machine: nothing of the checkout on the path, no compiled kernels.
        fresh = {"PYTHONPATH": None, "OASIS_ALLOC_CACHE": str(away / "kernels"), "OASIS_ALLOC_DATA": None}
        session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True, env=fresh)

        work = away / "work"
        work.mkdir()
        with session.chdir(work):
            where = "import oasis_alloc, sys; assert oasis_alloc.__file__.startswith(sys.prefix), oasis_alloc"
            session.run(python, "-c", where, external=True, env=fresh)
            session.run(command, "demo", *session.posargs, external=True, env=fresh)
        written = [file for file in sorted(work.rglob("*")) if file.is_file() and file.stat().st_size]
        if not written:
            session.error("the demo wrote nothing")
        for file in written:
            session.log("the demo wrote %s: %d bytes", file.relative_to(work), file.stat().st_size)


def _build_site(session: nox.Session) -> None:
    # -E: every page is read again, or the warnings of those that have not changed would be missed.
    built = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-q", "-E", "-W", "--keep-going", "-b", "html", str(ROOT / "docs"), str(built))
    session.log("the site is in %s", built.relative_to(ROOT))


def _check_contents(session: nox.Session, built: Path, source: Path) -> None:
    with zipfile.ZipFile(built) as wheel_file:
        names = wheel_file.namelist()
    with tarfile.open(source) as source_file:
        source_names = source_file.getnames()
    for needed in ("oasis_alloc/py.typed", "oasis_alloc/__main__.py", "board/page/index.html", "/licenses/LICENSE"):
        if not any(name.endswith(needed) for name in names):
            session.error(f"{built.name} lacks {needed}")
    data = [name for name in names + source_names if name.endswith(DATA)]
    if data:
        session.error(f"data sets do not belong in a distribution: {', '.join(data)}")


def _pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def _missing(page: Path) -> list[str]:
    """One line for every local file that a page links to or names and that does not exist."""
    text = page.read_text(encoding="utf-8")
    targets = [link.split("#")[0] for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    files = [(target, page.parent / target) for target in targets if target]
    files += [(name, ROOT / name) for name in NAMED.findall(text)]
    return [f"{os.path.relpath(page, ROOT)}: {name}" for name, file in files if not file.exists()]
