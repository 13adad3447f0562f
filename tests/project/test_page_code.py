"""The code of pages that speak of a caller's own tables and services runs, on small ones; and no page is left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
USERS, ITEMS = 24, 12

# Pages whose code other tests run, and what they check besides.
ELSEWHERE = {
    "docs/adding-a-function.md": "tests/project/test_docs.py",  # includes a file
    "docs/beyond-memory.md": "tests/project/test_docs.py",
    "docs/choosing-functions.md": "tests/project/test_site.py",
    "docs/cluster.md": "tests/engines/test_ray.py",
    "docs/decision-logs.md": "tests/project/test_docs.py",
    "docs/diversity.md": "tests/project/test_docs.py",
    "docs/forecasts.md": "tests/project/test_docs.py",
    "docs/getting-started.md": "tests/project/test_site.py",
    "docs/ledger.md": "tests/pacing/test_ledger_page.py",
    "docs/off-policy.md": "tests/signals/test_off_policy_docs.py",
    "docs/pacing.md": "tests/project/test_docs.py",
    "docs/progress-and-logs.md": "tests/project/test_docs.py",
    "docs/publishing.md": "tests/project/test_docs.py",
    "docs/replay.md": "tests/project/test_docs.py",
    "docs/results.md": "tests/project/test_docs.py",
    "docs/sampling.md": "tests/project/test_docs.py",
    "docs/serving.md": "tests/project/test_docs.py",
    "docs/trade-offs.md": "tests/support/printed.py",  # the code is an example, whose output is compared
    "docs/uncertainty.md": "tests/signals/uncertainty/test_uncertainty_page.py",
    "docs/what-if.md": "tests/project/test_docs.py",
}


def blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [textwrap.dedent(block[2]) for block in BLOCK.finditer(text)]
    assert len(found) == text.count("```python")
    return found


def run(page: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile("\n".join(blocks(page)), page, "exec"), names)
    return names


def catalog() -> dict[str, list[str]]:
    """The labels of 12 tracks."""
    return {
        "campaign": [f"c{i % 3}" for i in range(ITEMS)],
        "licensor": [f"l{i % 5}" for i in range(ITEMS)],
        "artist": [f"artist {i % 6}" for i in range(ITEMS)],
        "genre": [f"genre {i % 4}" for i in range(ITEMS)],
    }


def candidates() -> oa.Candidates:
    rng = np.random.default_rng(3)
    n = USERS * ITEMS
    columns = {"relevance": rng.random(n), "promotion": rng.random(n)}
    markets = [("SE", "DE")[u % 2] for u in range(USERS)]
    indptr, item = np.arange(USERS + 1) * ITEMS, np.tile(np.arange(ITEMS), USERS)
    return oa.Candidates.from_arrays(indptr, item, columns, items=catalog(), users={"market": markets})


def readme() -> dict[str, Any]:
    """Tables as the page describes them, and a request."""
    pd = pytest.importorskip("pandas", reason="the README's tables are frames")
    cands = candidates()
    pairs = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(USERS), ITEMS),
            "track_id": [f"t{i}" for i in cands.item],
            **{name: np.asarray(column) for name, column in cands.columns.items()},
        }
    )
    users = pd.DataFrame({"user_id": np.arange(USERS), "market": ["SE", "DE"] * (USERS // 2)})
    tracks = pd.DataFrame({"track_id": [f"t{i}" for i in range(ITEMS)], **catalog()})
    return {
        "pairs": pairs, "users": users, "tracks": tracks, "caps": 200.0, "floors": {"c0": 50.0}, "organic": 100.0,
        "next_problem": oa.Problem(cands, oa.total("relevance"), oa.exposure(by="campaign") <= 200.0, oa.Slate(2)),
        "track_ids": [f"t{i}" for i in range(8)], "user": {"market": "SE"},
        "columns": {"relevance": np.linspace(1.0, 0.3, 8), "promotion": np.linspace(0.0, 1.0, 8)},
    }  # fmt: skip


def calibration() -> dict[str, Any]:
    """A log of scores with outcomes, and candidates."""
    rng = np.random.default_rng(5)
    score = rng.random(4_000)
    log = {"score": score, "streamed": rng.random(4_000) < 0.8 * score**2, "market": ["SE", "DE"] * 2_000}
    return {
        "log": log, "later": log, "candidates": candidates(), "items": [0, 1, 2], "scores": [0.2, 0.5, 0.9],
        "predictions": score, "streamed": log["streamed"], "propensities": np.full(4_000, 0.5),
        "selected": score > 0.5, "users": np.arange(4_000) // 4,
    }  # fmt: skip


def drift() -> dict[str, Any]:
    cands = candidates()
    solution = oa.solve(oa.Problem(cands, oa.total("relevance"), oa.exposure(by="campaign") <= 20.0, oa.Slate(2)))
    columns = {"relevance": np.linspace(1.0, 0.3, 8)}
    return {
        "candidates": cands, "candidates_of_today": cands, "solution": solution, "policy": solution.policy(),
        "items": list(range(8)), "columns": columns, "user": {}, "service_stats": {},
    }  # fmt: skip


def command_line() -> dict[str, Any]:
    problem = oa.Problem(candidates(), oa.total("relevance"), oa.exposure(by="campaign") <= 20.0, oa.Slate(2))
    oa.write_reproduction(problem, "problem.reproduction")
    return {}


# page: the caller's own things, which the page only names
GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": readme,
    "docs/calibration.md": calibration,
    "docs/command-line.md": command_line,
    "docs/drift.md": drift,
    "docs/json.md": dict,
    "docs/quotes.md": dict,
    "docs/solving-again.md": dict,
}


@pytest.mark.parametrize("page", GIVEN)
def test_the_code_of_a_page_runs(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if page == "docs/calibration.md":
        pytest.importorskip("sklearn", reason="the extra `signals`")
    monkeypatch.chdir(tmp_path)
    run(page, GIVEN[page]())
    printed = capsys.readouterr().out
    for code in blocks(page):
        for shown in re.findall(r"^print\(.*\) +# prints: (.*)$", code, re.MULTILINE):
            assert shown in printed.splitlines(), f"{page}: the page shows {shown!r}"


def test_every_page_with_code_is_run() -> None:
    with_code = [page.relative_to(ROOT).as_posix() for page in PAGES if "```python" in page.read_text("utf-8")]
    assert sorted([*GIVEN, *ELSEWHERE]) == sorted(with_code), "add the page to GIVEN, or say which test runs it"
    for page, test in ELSEWHERE.items():
        assert Path(page).stem in (ROOT / test).read_text("utf-8"), f"{test} does not name {page}"
