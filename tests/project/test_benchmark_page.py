"""docs/benchmarks.md, and the timings of README and docs, are what the JSON of the runs says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import cluster_model, page, plot, regions


def test_the_page_is_written_from_the_runs() -> None:
    runs = page.load_all(page.RUNS)
    assert all(run is not None and run["rows"] for run in runs.values())
    assert page.PAGE.read_text(encoding="utf-8") == page.text(runs), "run python -m benchmarks.page"


@pytest.mark.parametrize("path", regions.pages(), ids=lambda path: path.name)
def test_the_timings_of_a_page_are_those_of_the_runs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("<!-- timings:") == len(regions.REGION.findall(text)) == text.count("<!-- end of timings -->")
    assert text == regions.filled(text, regions.texts()), "run python -m benchmarks.page"


def test_every_kept_table_is_on_a_page_and_says_when_and_where() -> None:
    shown = [found[1] for path in regions.pages() for found in regions.REGION.findall(path.read_text(encoding="utf-8"))]
    made = regions.texts()
    assert sorted(shown) == sorted(made)
    for name in set(made) - {"in-words"}:  # from the runs of the table above it and of docs/benchmarks.md
        said = " ".join(made[name].rpartition("\n\n")[2].split())
        assert re.search(r"\b20\d\d-\d\d-\d\d, commit [0-9a-f]{7}, .*cores", said), (name, said)


TIMED = re.compile(r"\b(seconds|microseconds|milliseconds|solve s|us|ns per pair)\b")


@pytest.mark.parametrize("path", regions.pages(), ids=lambda path: path.name)
def test_no_other_table_has_timings(path: Path) -> None:
    if path == page.PAGE:
        return
    rest = regions.REGION.sub("", path.read_text(encoding="utf-8"))
    heads = [a for a, b in zip(rest.splitlines(), rest.splitlines()[1:], strict=False) if re.match(r"\|[ :]*---", b)]
    timed = [head for head in heads if TIMED.search(head)]
    assert not timed, f"keep its numbers in benchmarks/runs/pages.json, and run python -m benchmarks.page: {timed}"


def test_a_region_that_differs_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = regions.texts()
    own = tmp_path / "page.md"
    own.write_text("<!-- timings: rules -->\n\nnothing\n\n<!-- end of timings -->\n", encoding="utf-8")
    monkeypatch.setattr(regions, "pages", lambda: [own])
    assert regions.write() == [own]
    assert made["rules"] in own.read_text(encoding="utf-8")
    assert regions.write() == []


def test_a_section_that_was_not_run_is_left_out() -> None:
    runs = page.load_all(page.RUNS)
    whole = page.text(runs)
    without = page.text(runs | {"large": None})
    assert "## Up to a billion pairs" in whole
    assert "## Up to a billion pairs" not in without
    assert "## The whole program" in without


def test_sections_of_other_machines_say_so() -> None:
    runs = page.load_all(page.RUNS)
    peers = runs["peers"]
    assert peers is not None
    there = peers | {"about": peers["about"] | {"processor": "Another 9000"}}
    text = page.text(runs | {"peers": there})
    assert text.count("Another 9000") == 1
    assert text.count("; Python ") == len(page.SECTIONS)


def test_the_plot_has_ours_and_who_gave_up() -> None:
    row = {"title": "A", "solver": "a", "stops_at": None, "pairs": 100, "outcome": "done", "solve_seconds": 2.0}
    late = row | {"pairs": 1000, "outcome": "limit", "limit": 60.0}
    mine = row | {"title": "M", "solver": "ours:1e-6", "stops_at": 1e-6}
    peers = {"rows": [row, late, mine, mine | {"pairs": 10, "outcome": "stopped"}]}
    large = {"rows": [{"status": "SOLVED", "asked": 1e-3, "threads": 2, "pairs": 10**9, "seconds": 50.0}]}
    assert list(plot.series(peers, large).values()) == [[(10**9, 50.0)], [(100, 2.0)], [(100, 2.0)]]
    assert plot.given_up(peers) == {"A": [(1000, 60.0)]}


@pytest.mark.full
def test_the_model_of_a_cluster_has_the_constants_of_its_run(tmp_path: Path) -> None:
    """Seconds are of the largest size on one actor, a round is that of the most actors; the plot says what is what."""
    row = {"pairs": 10**6, "pass": 0.1, "pass_cpu": 0.01, "round": 0.001, "solve": 2.0, "passes": 20.0}
    rows = [
        row | {"way": "threads 1"},
        row | {"way": "actors 1", "rounds": 9},
        row | {"way": "actors 1", "pairs": 10**7, "pass_cpu": 0.08, "passes": 15.0, "rounds": 20},
        row | {"way": "actors 2", "pairs": 10**7, "pass_cpu": 0.3, "round": 0.01, "rounds": 21},
    ]
    known = cluster_model.constants(rows)
    assert known == pytest.approx((8e-9, 15.0, 20.0, 0.01))
    heads, body = cluster_model.predicted(rows)
    assert body[-1] == ["1e12", "400", "15", "1.26", "19"]  # 1e12 * 8e-9 / 6400 + 0.01, and 15 of it + 20 rounds
    assert len(heads) == len(body[0])
    cells = cluster_model.measured(rows)[1]
    assert [(row[0], row[1], row[3]) for row in cells[1:3]] == [
        ("1,000,000", "actors 1", ""), ("10,000,000", "actors 1", "8.0"),
    ], "a pass of 10 ms is one tick"  # fmt: skip
    drawn = []
    for name in ("a.svg", "b.svg"):
        cluster_model.draw({"rows": rows}, tmp_path / name)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert "measured, 1 actor" in drawn[0]
    assert "predicted, actors of 16 threads" in drawn[0]
    assert "nothing to the right of here was measured" in drawn[0]
