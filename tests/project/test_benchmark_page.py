"""docs/benchmarks.md is what the JSON of the runs says."""

from __future__ import annotations

from benchmarks import page, plot


def test_the_page_is_written_from_the_runs() -> None:
    runs = page.load_all(page.RUNS)
    assert all(run is not None and run["rows"] for run in runs.values())
    assert page.PAGE.read_text(encoding="utf-8") == page.text(runs), "run python -m benchmarks.page"


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
