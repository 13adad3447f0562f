"""Schedules: learned from arrivals, by hour, weekday, holiday and key, in a time zone; flat without data."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.pacing.calendar import CELLS, Calendar

HOUR, DAY = 3600.0, 86_400.0
MONDAY = 1_782_691_200.0  # 2026-06-29 00:00 UTC


def arrivals(rates: np.ndarray, weeks: int, start: float = MONDAY) -> np.ndarray:
    """Evenly spaced arrivals, so many in every hour of (days, 24), again and again."""
    out = []
    for k in range(weeks * rates.size):
        n = int(rates[k // 24 % len(rates), k % 24])
        out.append(start + k * HOUR + (np.arange(n) + 0.5) / max(n, 1) * HOUR)
    return np.concatenate(out)


def two_peaks() -> np.ndarray:
    rates = np.full((7, 24), 20.0)
    rates[:, 8], rates[:, 20] = 60, 100
    rates[5:] *= 2
    return rates


def test_what_is_regular_is_learned() -> None:
    rates = two_peaks()
    schedule = oa.Schedule.fit(arrivals(rates, 20))
    for day, hour in ((0, 8), (3, 20), (5, 20), (6, 3)):
        t = MONDAY + 50 * 7 * DAY + day * DAY + hour * HOUR
        assert schedule.expected(t, t + HOUR) == pytest.approx(rates[day, hour], rel=0.05)
    # Less data moves it towards the mean of the hour over all days.
    thin = oa.Schedule.fit(arrivals(rates, 1))
    saturday = MONDAY + 5 * DAY + 20 * HOUR
    assert rates[:, 20].mean() < thin.expected(saturday, saturday + HOUR) < rates[5, 20]
    assert not schedule.is_flat
    assert str(schedule) == f"Schedule: UTC, learned from {int(20 * rates.sum()):,} rows"


def test_a_forecast_from_the_curve_beats_a_flat_one() -> None:
    """Learned from three weeks of Poisson arrivals, and compared with the rates that they were drawn from."""
    past = arrivals(np.random.default_rng(5).poisson(two_peaks(), (3, 7, 24)).reshape(21, 24), 1)
    schedule, flat = oa.Schedule.fit(past), oa.Schedule.flat()
    start = MONDAY + 21 * DAY
    real = two_peaks().ravel() / two_peaks().sum()
    errors = []
    for one in (schedule, flat):
        week = one.over(start, start + 7 * DAY)
        share = [week.share(start + k * HOUR, start + (k + 1) * HOUR) for k in range(7 * 24)]
        assert sum(share) == pytest.approx(1)
        errors.append(np.abs(np.array(share) - real).sum())
    assert errors[0] < 0.3 * errors[1]


def test_without_data_it_is_flat_and_says_so() -> None:
    for nothing in ([], np.empty(0), pd.DataFrame({"time": []})):
        schedule = oa.Schedule.fit(nothing)
        assert schedule.is_flat
        assert str(schedule) == repr(schedule) == "Schedule: flat, because there are no requests to learn from"
    silent = oa.Schedule.fit([MONDAY, MONDAY + HOUR], weight=[0.0, 0.0])
    assert silent.is_flat
    assert silent.expected(MONDAY, MONDAY + HOUR) > 0


def test_no_hour_is_forecast_as_nothing() -> None:
    """A pacer divides by what is expected."""
    only_noon = [MONDAY + 12 * HOUR + k * DAY for k in range(400)]
    schedule = oa.Schedule.fit(only_noon)
    each = [schedule.expected(MONDAY + k * HOUR, MONDAY + (k + 1) * HOUR) for k in range(7 * 24)]
    assert min(each) > 0
    assert max(each) == pytest.approx(1, rel=0.1)


def test_keys_have_curves_of_their_own_as_far_as_there_is_data() -> None:
    day, night = (np.zeros((7, 24)) for _ in range(2))
    day[:, 6:18], night[:, 18:] = 20, 40
    times = [arrivals(day, 8), arrivals(night, 8), np.array([MONDAY + 3 * HOUR])]
    by = np.repeat(["day", "night", "rare"], [one.size for one in times])
    schedule = oa.Schedule.fit(np.concatenate(times), by=by)
    assert schedule.keys == ["day", "night", "rare"]
    noon, evening = MONDAY + 12 * HOUR, MONDAY + 20 * HOUR
    for key, more, less in (("day", noon, evening), ("night", evening, noon)):
        assert schedule.share(more, more + HOUR, key) > 5 * schedule.share(less, less + HOUR, key)
    week = schedule.over(MONDAY, MONDAY + 7 * DAY)
    rare, pooled = (week.share(evening, evening + HOUR, key) for key in ("rare", None))
    assert rare == pytest.approx(pooled, rel=0.5), "one request makes no shape"
    total = sum(schedule.expected(noon, evening, key) for key in schedule.keys)
    assert total == pytest.approx(schedule.expected(noon, evening), rel=0.02)
    with pytest.raises(oa.InputError, match=r"'nightt' is not among the 3 keys of this schedule.*'night'"):
        schedule.share(noon, evening, "nightt")
    assert oa.Schedule.fit(times[0]).share(noon, evening, "any") > 0, "without keys there is one curve for all"


def test_holidays_are_days_of_their_own() -> None:
    rates = two_peaks()
    times = arrivals(rates, 10)
    holiday = MONDAY + 9 * DAY  # a Wednesday, on which nobody came in the morning
    times = times[(times < holiday) | (times >= holiday + 12 * HOUR)]
    aware = oa.Schedule.fit(times, holidays=["2026-07-08", dt.date(2026, 12, 25)])
    unaware = oa.Schedule.fit(times)
    wednesday = MONDAY + 16 * DAY + 8 * HOUR
    assert aware.expected(wednesday, wednesday + HOUR) > unaware.expected(wednesday, wednesday + HOUR)
    christmas = dt.datetime(2026, 12, 25, 8, tzinfo=dt.UTC)  # a Friday
    other_friday = dt.datetime(2026, 12, 18, 8, tzinfo=dt.UTC)
    later = [at + dt.timedelta(hours=1) for at in (christmas, other_friday)]
    assert aware.expected(christmas, later[0]) != aware.expected(other_friday, later[1])
    never_seen = oa.Schedule.fit(arrivals(rates, 10), holidays=["2026-12-25"])
    sunday = dt.datetime(2026, 12, 20, 8, tzinfo=dt.UTC)
    assert never_seen.expected(christmas, later[0]) == pytest.approx(
        never_seen.expected(sunday, sunday + dt.timedelta(hours=1))
    ), "holidays that were never seen are like Sundays"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Stockholm", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_hours_are_local_ones(zone: str) -> None:
    """Every cell is what Python says the local time is, across changes of daylight saving time."""
    calendar = Calendar(zone, ["2026-03-29"])
    tz = ZoneInfo(zone)
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp()
    seconds = start + np.arange(0, 60 * DAY, 900.0) + 17
    cells = calendar.cells(seconds)
    for one, cell in zip(seconds.tolist(), cells.tolist(), strict=True):
        local = dt.datetime.fromtimestamp(one, tz)
        kind = 7 if local.date() == dt.date(2026, 3, 29) else local.weekday()
        assert cell == 24 * kind + local.hour
    found = np.bincount(cells, minlength=CELLS) * 900.0
    assert np.allclose(calendar.dwell(start, start + 60 * DAY), found)


def test_the_day_of_the_clock_change() -> None:
    """In Stockholm the 29th of March 2026 has 23 hours, and the hour from 2 to 3 does not exist."""
    schedule = oa.Schedule.from_weights([float(hour) for hour in range(24)], zone="Europe/Stockholm")
    tz = ZoneInfo("Europe/Stockholm")
    day = [dt.datetime(2026, 3, 29, tzinfo=tz), dt.datetime(2026, 3, 30, tzinfo=tz)]
    assert schedule.expected(*day) == pytest.approx(sum(range(24)) - 2)
    day = [dt.datetime(2026, 10, 25, tzinfo=tz), dt.datetime(2026, 10, 26, tzinfo=tz)]
    assert schedule.expected(*day) == pytest.approx(sum(range(24)) + 2)


def test_a_month_turns_over() -> None:
    schedule = oa.Schedule.fit(arrivals(two_peaks(), 6), zone="Europe/Stockholm")
    tz = ZoneInfo("Europe/Stockholm")
    first, second, third = (dt.datetime(2026, month, 1, tzinfo=tz) for month in (7, 8, 9))
    july, august = schedule.over(first, second), schedule.over(second, third)
    assert july.remaining(first) == august.remaining(second) == pytest.approx(1)
    assert july.remaining(second) == 0 == july.share(second, third)
    last = second - dt.timedelta(hours=1)
    assert july.remaining(last) == july.share(last, second) > 0
    assert august.share(last, second) == 0
    assert august.remaining(last) == pytest.approx(1), "before it begins, all of it is to come"
    days = [first + dt.timedelta(days=k) for k in range(32)]
    assert sum(july.share(a, b) for a, b in pairwise(days)) == pytest.approx(1)


@given(st.lists(st.floats(0, 40 * DAY), min_size=3, max_size=3), st.integers(0, 3))
def test_shares_add_up(cuts: list[float], seed: int) -> None:
    a, b, c = sorted(MONDAY + cut for cut in cuts)
    weights = np.random.default_rng(seed).random((7, 24))
    schedule = oa.Schedule.from_weights(weights, zone="Europe/Stockholm")
    assert schedule.share(a, b) + schedule.share(b, c) == pytest.approx(schedule.share(a, c), abs=1e-12)
    assert schedule.remaining(a, c) == schedule.share(a, c)
    month = schedule.over(MONDAY, MONDAY + 30 * DAY)
    assert month.share(MONDAY, a) + month.remaining(a) == pytest.approx(1)


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict", "naive"])
def test_tables_of_all_kinds_give_the_same(kind: str) -> None:
    seconds = arrivals(two_peaks(), 2)[::7]
    keys = ["SE", "DE"] * (seconds.size // 2) + ["SE"] * (seconds.size % 2)
    weight = np.arange(seconds.size) % 3 + 0.5
    plain = oa.Schedule.fit(seconds, by=keys, weight=weight, zone="Asia/Tokyo")
    stamps = pd.to_datetime((seconds * 1e6).astype("int64"), unit="us", utc=True)
    frame = pd.DataFrame({"time": stamps, "market": keys, "n": weight})
    tables: dict[str, Any] = {
        "pandas": frame.assign(time=frame["time"].dt.tz_convert("America/New_York")),
        "polars": pl.from_pandas(frame), "pyarrow": pa.Table.from_pandas(frame),
        "dict": {"time": list(frame["time"]), "market": keys, "n": weight},
        "naive": frame.assign(time=frame["time"].dt.tz_convert("Europe/Stockholm").dt.tz_localize(None)),
    }  # fmt: skip
    naive = "Europe/Stockholm" if kind == "naive" else None
    found = oa.Schedule.fit(tables[kind], by="market", weight="n", zone="Asia/Tokyo", naive=naive)
    assert found.keys == plain.keys
    assert np.allclose(found.rates, plain.rates, rtol=1e-9)


BAD: dict[str, tuple[Any, str]] = {
    "NaN": (lambda: oa.Schedule.fit([1.0, float("nan")]), "the time of row 1 is nan"),
    "a negative time": (lambda: oa.Schedule.fit([-1.0]), r"the time of row 0 is -1\.0"),
    "a text": (lambda: oa.Schedule.fit([1.0, "noon"]), "the time of row 1 is 'noon'"),
    "no zone": (lambda: oa.Schedule.fit([dt.datetime(2026, 1, 1)]), "naive='UTC'"),
    "no zone in an array": (lambda: oa.Schedule.fit(np.array(["2026-01-01"], "M8[s]")), "naive='UTC'"),
    "NaT": (lambda: oa.Schedule.fit(np.array(["2026-01-01", "NaT"], "M8[s]"), naive="UTC"), "the time of row 1 is"),
    "an unknown zone": (lambda: oa.Schedule.fit([1.0], zone="Mars/Olympus"), "the time zone is 'Mars/Olympus'"),
    "a zone that is no text": (lambda: oa.Schedule.flat(zone=3), "the time zone is 3"),
    "a holiday that is no date": (lambda: oa.Schedule.fit([1.0], holidays=["Easter"]), "'Easter' is not a date"),
    "a negative weight": (lambda: oa.Schedule.fit([1.0, 2.0], weight=[1, -2]), "weight: row 1 is -2"),
    "a weight of NaN": (lambda: oa.Schedule.fit([1.0], weight=[float("nan")]), "weight: row 0 is nan"),
    "weights of another length": (lambda: oa.Schedule.fit([1.0], weight=[1, 1]), "2 entries and requests has 1"),
    "keys of another length": (lambda: oa.Schedule.fit([1.0], by=["a", "b"]), "2 entries and requests has 1"),
    "a missing key": (lambda: oa.Schedule.fit([1.0, 2.0], by=["a", None]), "row 1 has no key"),
    "no such column": (lambda: oa.Schedule.fit(pd.DataFrame({"t": [1.0]})), r"no column 'time', which time names"),
    "a list in a list": (lambda: oa.Schedule.fit([[1.0, 2.0]]), r"the time of row 0 is \[1\.0, 2\.0\]"),
    "a matrix": (lambda: oa.Schedule.fit(np.ones((2, 2))), r"shape \(2, 2\)"),
    "nothing": (lambda: oa.Schedule.fit(None), "times are None"),
    "a prior that is text": (lambda: oa.Schedule.fit([1.0], prior_days="1"), "prior_days is '1'"),
    "no prior": (lambda: oa.Schedule.fit([1.0], prior_days=0.0), "prior_days is 0.0"),
    "a ledger": (lambda: oa.Schedule.fit(oa.Ledger()), "requests are deliveries; expected arrivals"),
    "events": (lambda: oa.Schedule.fit([oa.Event("a", "one", 1.0)]), "learn the throttle of the pacer"),
    "served rows": (lambda: oa.Schedule.fit(pd.DataFrame({"time": [1.0], "served": [1]})), "a column 'served'"),
    "NaN in a curve": (lambda: oa.Schedule.from_weights([1.0] * 23 + [float("nan")]), "day 0, hour 23 is nan"),
    "a negative curve": (lambda: oa.Schedule.from_weights({"SE": [-1.0] * 24}), "weights of 'SE': day 0, hour 0 is -1"),
    "a curve of zeros": (lambda: oa.Schedule.from_weights([0.0] * 24), "0 everywhere"),
    "a curve of another shape": (lambda: oa.Schedule.from_weights([1.0] * 23), r"has shape \(23,\); expected \(24,\)"),
    "no curve": (lambda: oa.Schedule.from_weights({}), "has no curve"),
    "an end before the start": (lambda: oa.Schedule.flat().over(2.0, 1.0), "expected an end after the start"),
    "no traffic in the period": (
        lambda: oa.Schedule.from_weights([0.0] * 23 + [1.0]).over(MONDAY, MONDAY + HOUR), "no requests are expected"),
    "no end": (lambda: oa.Schedule.flat().remaining(1.0), "needs an end"),
    "backward": (lambda: oa.Schedule.flat().share(2.0, 1.0), "expected t1 at or after t0"),
    "backward in a period": (lambda: oa.Schedule.flat().over(0.0, 9.0).share(2.0, 1.0), "expected t1 at or after t0"),
    "NaN as t0": (lambda: oa.Schedule.flat().share(float("nan"), 1.0), "t0 is nan"),
    "infinity as t1": (lambda: oa.Schedule.flat().share(0.0, float("inf")), "t1 is inf"),
    "milliseconds": (lambda: oa.Schedule.flat().share(0.0, MONDAY * 1000), "seconds since 1970 UTC"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(oa.InputError, match=message):
        call()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    keys = [("SE", 1), ("SE", 2)] * 40
    times = arrivals(two_peaks(), 1)[:80]
    made = oa.Schedule.fit(times, by=[market for market, _ in keys], zone="Asia/Tokyo", holidays=["2026-12-25"])
    for schedule in (made, made.over(MONDAY, MONDAY + 30 * DAY), oa.Schedule.flat()):
        schedule.save(tmp_path / "schedule.json")
        found = oa.Schedule.load(tmp_path / "schedule.json")
        assert found.to_dict() == schedule.to_dict()
        assert np.allclose(found.rates, schedule.rates, rtol=1e-15)
        assert (found.keys, str(found)) == (schedule.keys, str(schedule))
        assert not found.rates.flags.writeable
    json.loads((tmp_path / "schedule.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "another"}, "is not a schedule"), ({"zone": "Mars/Olympus"}, "time zone"),
        ({"curves": [[[-1.0] * 24] * 8]}, "curve 0: day 0, hour 0 is -1"), ({"keys": ["SE"]}, "1 curves; expected 2"),
        ({"curves": None}, "not a complete schedule"), ({"requests": "many"}, "not a complete schedule"),
    ],
)  # fmt: skip
def test_files_that_are_no_schedules_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(oa.Schedule.flat().to_dict() | change))
    with pytest.raises(oa.InputError, match=message):
        oa.Schedule.load(path)
    path.write_text("{")
    with pytest.raises(oa.InputError, match="cannot be read as a schedule"):
        oa.Schedule.load(path)
    with pytest.raises(oa.InputError, match=r"no\.json"):
        oa.Schedule.load(tmp_path / "no.json")


def test_a_week_of_real_arrivals(data_dir: Path) -> None:
    """A schedule of six days forecasts the seventh better than a flat one."""
    events = pd.read_parquet(data_dir / "obd-men" / "events.parquet", columns=["ts"])
    seconds = np.sort(events["ts"].dt.tz_localize(None).to_numpy().astype("int64") / 1e6)
    end = seconds[-1] // HOUR * HOUR
    before, day = seconds < end - DAY, (seconds >= end - DAY) & (seconds < end)
    edges = end - DAY + HOUR * np.arange(25)
    real = np.histogram(seconds[day], edges)[0] / day.sum()
    errors = []
    for schedule in (oa.Schedule.fit(events[events["ts"] < pd.Timestamp(end - DAY, unit="s", tz="UTC")], time="ts",
                                     zone="Asia/Tokyo"), oa.Schedule.flat()):  # fmt: skip
        assert schedule.n_requests in (0, before.sum())
        last = schedule.over(end - DAY, end)
        errors.append(sum(abs(last.share(a, b) - real[k]) for k, (a, b) in enumerate(pairwise(edges))))
    assert errors[0] < 0.7 * errors[1]
