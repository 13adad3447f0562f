"""What the documentation solves in Python gives the same policy, bit for bit, when a job file states it."""

from __future__ import annotations

import importlib
import io
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from job_files import JobFile, drawn_again, read_again
from recorded import Recorded, Solved, recorded

import oasis_alloc as oa
from oasis_alloc.markets import month
from oasis_alloc.statement.objective import Objective

pytest.importorskip("pyarrow")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```(?:python|\{code-cell\} ipython3)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def code_of(page: str, first: int | None = None) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    return "\n".join(line for line in "\n".join(blocks[:first]).splitlines() if not line.startswith("%"))


def run(code: str, name: str, given: dict[str, Any] | None = None) -> Recorded:
    with recorded() as found, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        exec(compile(code, name, "exec"), {"__name__": "__main__", **(given or {})})
    return found


def stated_again(found: Recorded, folder: Path) -> Iterator[tuple[Solved, oa.Solution, oa.JobResult]]:
    """Each solve, the same of candidates from tables, and its job."""
    again: dict[int, oa.Solution] = {}
    for k, solved in enumerate(found.solves):
        options, where = {name: value for name, value in solved.options.items() if name != "progress"}, folder / str(k)
        where.mkdir(parents=True)
        problem = solved.problem.replace(candidates=read_again(solved.problem.candidates))
        earlier, steady = [], []
        for j, term in enumerate(solved.problem.maximize.steady):
            previous = again[id(found.previous(term))]
            steady.append(oa.stay_close(previous, term.weight))
            previous.save(path := where / f"earlier {j}")
            earlier.append(path)
        if steady:
            problem = problem.replace(maximize=replace_steady(problem.maximize, tuple(steady)))
        start, path_of_start = options.pop("start", None), None
        if start is not None and id(start) in again:
            again[id(start)].save(path_of_start := where / "start")
            options["start"] = known_prices(again[id(start)].prices_by_label, problem)
        for name in ("engine", "checkpoint", "checkpoint_every", "resume"):
            options.pop(name, None)  # they change no answer
        risk = None
        if solved.by_risk:
            risk = {name: options.pop(name) for name in ("risk", "draws", "hold") if name in options}
            if risk.get("draws") is not None:
                risk["draws"] = drawn_again(risk["draws"], problem.candidates)
            solution = oa.solve_uncertain(problem, **risk, **options).solution
        else:
            solution = oa.solve(problem, **options)
        again[id(solved.solution)] = solution
        for policy in solved.policies or [{}]:
            job = JobFile(problem, where, options, policy, tuple(earlier), path_of_start, risk)
            yield replace(solved, policies=[policy]), solution, oa.run_job(job.write())


def replace_steady(objective: Objective, steady: tuple[Any, ...]) -> Objective:
    return Objective(objective.linear, objective.functions, steady)


def known_prices(prices: dict[str, dict[Any, float]], problem: oa.Problem) -> dict[str, dict[Any, float]]:
    """The prices of constraints and labels that the problem has, as a file's `start` gives them."""
    labels = {name: set(problem.labels(name)) for name in problem.names}
    known = {
        name: {label: price for label, price in of.items() if label in labels[name]}
        for name, of in prices.items()
        if name in labels
    }
    return {name: of for name, of in known.items() if of}


def check(found: Recorded, folder: Path, least: int) -> None:
    count = 0
    for solved, solution, result in stated_again(found, folder):
        count += 1
        (options,) = solved.policies
        if solution.status is oa.Status.INFEASIBLE:
            assert result.status == "infeasible", result
            continue
        try:
            policy = solution.policy(**options)
        except oa.SolverError:
            assert result.status == "not proven", result
            continue
        assert result.status == "published", result
        assert result.version is not None
        assert result.version.policy_id == policy.policy_id, f"solve {count - 1}: {solved.problem}"
    assert count >= least, "the page solves less than before"


PAGES = [
    ("docs/getting-started.md", None, 1),
    ("docs/json.md", 1, 1),
    ("docs/solving-again.md", None, 4),
    ("docs/publishing.md", None, 1),
    ("docs/decision-logs.md", None, 1),
    ("docs/pacing.md", None, 10),
    ("docs/serving.md", None, 1),
    ("docs/sampling.md", None, 2),
    ("docs/diversity.md", None, 4),
    ("docs/what-if.md", 1, 1),
    ("docs/forecasts.md", 1, 1),
    ("docs/results.md", None, 2),
    ("docs/progress-and-logs.md", None, 3),
    ("docs/beyond-memory.md", None, 3),
    ("docs/quotes.md", None, 2),
    ("docs/trade-offs.md", None, 3),
    ("docs/off-policy.md", 3, 2),
    ("docs/replay.md", 1, 1),
    ("docs/uncertainty.md", None, 8),
    ("docs/cluster.md", None, 1),
    ("docs/notebooks/first_allocation.md", None, 2),
    ("docs/notebooks/fairness_choices.md", None, 5),
    ("docs/notebooks/from_policy_to_service.md", None, 2),
    ("docs/notebooks/pacing_a_month.md", None, 3),
    ("docs/choosing-functions.md", None, 1),
]

ELSEWHERE = {
    "README.md": "below, with tables of its own",
    "docs/calibration.md": "a part of a problem, and no whole one: test_jobs_calibrated.py",
}


def test_every_page_that_states_a_problem_is_here() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    states = re.compile(r"\boa\.Problem\(|\.problem\(")
    found = [page.relative_to(ROOT).as_posix() for page in pages]
    found = [
        page for page in found if any(states.search(of[1]) for of in BLOCK.findall((ROOT / page).read_text("utf-8")))
    ]
    assert set(found) - ELSEWHERE.keys() <= {page for page, *_ in PAGES}, "a page that is not compared with job files"
    assert set(ELSEWHERE) <= set(found)


@pytest.mark.few(2)
@pytest.mark.parametrize(("page", "first", "least"), PAGES, ids=[page for page, *_ in PAGES])
def test_a_page(page: str, first: int | None, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(run(code_of(page, first), page), tmp_path / "jobs", least)


def test_the_readme(tmp_path: Path) -> None:
    """Its tables are those of a small market, with other names of ids; the next problem has other limits."""
    market = month(users=120, degree=20, campaigns=8, size=5, seed=1)
    cands, rng = market.candidates(), np.random.default_rng(0)
    user = cands.user_of(np.arange(cands.n_pairs))
    pairs = {"user_id": [f"u{u}" for u in user], "track_id": 10 * cands.item.astype(np.int64), **cands.columns}
    users = {"user_id": [f"u{u}" for u in range(cands.n_users)], **market.user_attributes()}
    tracks = {"track_id": 10 * np.arange(cands.n_items), **market.item_attributes()}
    order, stated = rng.permutation(cands.n_pairs), market.policy
    given: dict[str, Any] = {
        "pairs": pd.DataFrame(pairs).iloc[order], "users": pd.DataFrame(users), "tracks": pd.DataFrame(tracks),
        "caps": stated.caps, "floors": {label: 0.3 * floor for label, floor in stated.floors.items()},
        "organic": 0.9 * stated.organic,
    }  # fmt: skip
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = BLOCK.findall(text)[0][1].replace("oa.solve(next_problem", "next_problem = problem\noa.solve(next_problem")
    code = code.replace("0.25 *", "0.5 *").replace("size=10", "size=5")
    check(run(code, "README.md", given), tmp_path, 3)


def example(name: str) -> ModuleType:
    """An example as a module, which finds those next to it."""
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "examples"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "tables", "sizes", "least"),
    [
        ("problem_to_slates", None, {}, 1),
        ("lastfm", "lastfm-2k", {}, 2),
        ("small_artists", "lastfm-2k", {"n_users": 60, "weights": (0.1, 0.4), "shares": (0.15, 0.3)}, 3),
        ("calibrated_genres", "movielens-small", {"n_users": 20, "weights": (0.05, 0.2)}, 3),
    ],
)
def test_an_example(
    name: str, tables: str | None, sizes: dict[str, Any], least: int, tmp_path: Path, data_dir: Path
) -> None:
    if tables is not None and not (data_dir / tables).is_dir():
        pytest.skip(f"no {tables} in {data_dir}")
    with recorded() as found, redirect_stdout(io.StringIO()):
        module = example(name)
        if tables is not None:
            module.run(data_dir / tables, **sizes)
    found.solves = [one for one in found.solves if one.options.get("solver") != "conic"]
    check(found, tmp_path, least)
