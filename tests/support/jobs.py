"""A small market as tables, a job over it, and the same problem in Python."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import oasis_alloc as oa

N_USERS, N_ITEMS, EACH = 60, 24, 8

JOB = """
maximize = 'total("relevance") + 0.4 * total("promotion")'
subject_to = [
    '(exposure(by="campaign") <= caps).named("caps")',
    'soft((exposure(by="campaign") >= floors).named("floors"), penalty=2).named("floors")',
    '(total("relevance") >= 0.8 * organic).named("guard")',
]

[candidates]
pairs = "pairs.parquet"
users = "users.parquet"
items = "items.parquet"

[limits]
caps = {{ file = "campaigns.csv", key = "campaign", value = "cap" }}
floors = {{ file = "campaigns.csv", key = "campaign", value = "floor" }}
organic = {{ best = "relevance" }}

[slate]
size = 3
at_most = {{ artist = 1 }}

[solve]
gap = 1e-5
threads = 1
{solve}
[checks]
{checks}
[gates]
{gates}
[policy]
valid_for = 172800

[publish]
directory = "policies"
keep = 5
{publish}
"""


def make_tables(folder: Path, day: int = 0, **changes: Any) -> None:
    """Write the tables of a day; `changes` are functions of a frame, by the name of the table."""
    rng = np.random.default_rng(100)
    item = np.concatenate([rng.choice(N_ITEMS, EACH, replace=False) for _ in range(N_USERS)])
    noise = np.random.default_rng(day).normal(0, 0.02, item.size)
    frames = {
        "pairs": pd.DataFrame(
            {
                "user": np.repeat(np.arange(N_USERS), EACH),
                "item": item,
                "relevance": np.clip(rng.random(item.size) + noise, 0, 1),
                "promotion": (item < 12) * rng.random(item.size),
            }
        ),
        "users": pd.DataFrame({"user": np.arange(N_USERS), "market": ["SE", "DE", "US"] * (N_USERS // 3)}),
        "items": pd.DataFrame(
            {
                "item": np.arange(N_ITEMS),
                "artist": [f"artist {k // 2}" for k in range(N_ITEMS)],
                "campaign": [f"c{k // 3}" if k < 12 else None for k in range(N_ITEMS)],
            }
        ),
        "campaigns": pd.DataFrame(
            {"campaign": ["c0", "c1", "c2", "c3"], "cap": [25.0, 20.0, 30.0, None], "floor": [5.0, None, 10.0, 12.0]}
        ),
    }
    for name, change in changes.items():
        frames[name] = change(frames[name])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pairs", "users", "items"):
        frames[name].to_parquet(folder / f"{name}.parquet")
    frames["campaigns"].to_csv(folder / "campaigns.csv", index=False)


def make_job(folder: Path, checks: str = "", gates: str = "gap = 1e-3", solve: str = "", publish: str = "") -> Path:
    """Write a job over tables of day 0; return its path."""
    make_tables(folder)
    return write_job(folder, checks, gates, solve, publish)


def write_job(folder: Path, checks: str = "", gates: str = "gap = 1e-3", solve: str = "", publish: str = "") -> Path:
    """Write the job alone."""
    path = folder / "radio.toml"
    path.write_text(JOB.format(checks=checks, gates=gates, solve=solve, publish=publish))
    return path


def published_job(folder: Path, gates: str = "gap = 1e-3", change: Callable[[str], str] | None = None) -> Path:
    """Write a job over tables of day 0 whose run `monday` has published; `change` is one of its file's text.

    The run is made once per process, next to the folder of the test, and copied.
    """
    shutil.copytree(_published(folder.parent, gates, change), folder, dirs_exist_ok=True)
    return folder / "radio.toml"


@cache
def _published(where: Path, gates: str, change: Callable[[str], str] | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="published-", dir=where))
    path = make_job(folder, gates=gates)
    if change is not None:
        path.write_text(change(path.read_text()))
    assert oa.run_job(path, run="monday").status == "published"
    return folder


def problem_in_python(folder: Path, calibrated: Any = None, uncertainty: Any = None) -> oa.Problem:
    """The problem of the job, stated in Python."""
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("pairs", "users", "items")}
    campaigns = pd.read_csv(folder / "campaigns.csv").set_index("campaign")
    cands = oa.Candidates.from_frames(**frames, uncertainty=uncertainty).calibrated(calibrated or {})
    campaign, total = oa.exposure(by="campaign"), oa.total
    organic = float(oa.organic(cands, "relevance", size=3)[0])
    return oa.Problem(
        cands,
        total("relevance") + 0.4 * total("promotion"),
        [
            (campaign <= campaigns["cap"].dropna().to_dict()).named("caps"),
            oa.soft((campaign >= campaigns["floor"].dropna().to_dict()).named("floors"), penalty=2).named("floors"),
            (total("relevance") >= 0.8 * organic).named("guard"),
        ],
        oa.Slate(3, at_most={"artist": 1}),
    )


def in_python(folder: Path, start: Any = None, calibrated: Any = None) -> oa.Policy:
    """The policy of the job, made in Python."""
    problem = problem_in_python(folder, calibrated)
    return oa.solve(problem, gap=1e-5, threads=1, start=start).policy(valid_for=172800)
