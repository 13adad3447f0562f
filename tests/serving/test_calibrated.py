"""Calibrated columns: solves, every way to score, and snapshots see the same values, to the last bit."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jvm_host import run

import oasis_alloc as oa
from oasis_alloc.data.column_map import ColumnMap, piecewise, starts
from oasis_alloc.errors import SnapshotError
from oasis_alloc.serving.calibrator import _packed
from oasis_alloc.serving.data import ColumnCalibration, PolicyData
from oasis_alloc.serving.file.codec import decode, encode
from oasis_alloc.serving.file.container import from_bytes, to_bytes

N_USERS, DEGREE, N_ITEMS = 60, 12, 50
BY_MARKET = ColumnMap(
    np.array([0.0, 0.3, 1.0]), np.array([[0.0, 0.05, 0.6], [0.0, 0.2, 0.3], [0.1, 0.1, 0.9]]), "market", ("DE", "SE")
)
BY_ARTIST = ColumnMap(
    np.array([0.1, 0.5, 0.7, 0.9]),
    np.array([[0.0, 0.05, 0.6, 0.7], [0.0, 0.2, 0.3, 0.4], [0.1, 0.1, 0.9, 0.9]]), "artist", (0, 3),
)  # fmt: skip
HALF = ColumnMap(np.array([0.0, 1.0]), np.array([[0.0, 0.5]]))


def market() -> oa.Candidates:
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    return oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * DEGREE, item,
        {"r": rng.random(item.size), "p": rng.random(item.size, np.float32), "other": rng.random(item.size)},
        users={"market": rng.choice(["SE", "DE", "US"], N_USERS)}, items={"artist": rng.integers(0, 5, N_ITEMS)},
        item_ids=[f"t{k:02d}" for k in range(N_ITEMS)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def solution() -> oa.Solution:
    cands = market().calibrated({"r": BY_MARKET, "p": BY_ARTIST})
    limits = [oa.exposure(by="artist") <= 60.0, oa.total("p", by="artist") <= 16.0]
    slate = oa.Slate(4, keep={"r": 0.8}, at_most={"artist": 2})
    made = oa.solve(oa.Problem(cands, oa.total("r") + 0.4 * oa.total("p"), limits, slate))
    assert made.status is oa.Status.SOLVED
    return made


@pytest.fixture(scope="module")
def policy(solution: oa.Solution, tmp_path_factory: pytest.TempPathFactory) -> oa.Policy:
    path = tmp_path_factory.mktemp("calibrated") / "policy"
    solution.policy().save(path)
    return oa.Policy.load(path)


def requests(solution: oa.Solution, policy: oa.Policy) -> Any:
    """(user, pairs, items, columns) of every user, as a host would bring them."""
    cands = solution.problem.candidates
    for u in range(N_USERS):
        mine = slice(u * DEGREE, (u + 1) * DEGREE)
        items = policy.encode([f"t{k:02d}" for k in cands.item[mine]])
        yield u, mine, items, {name: of[mine] for name, of in cands.request_columns.items()}


def test_columns_are_mapped_once_and_requests_keep_theirs() -> None:
    before = market()
    cands = before.calibrated({"r": BY_MARKET, "p": BY_ARTIST})
    labels = before.users["market"].labels[before.users["market"].codes]
    row = np.repeat([{"DE": 1, "SE": 2}.get(label, 0) for label in labels], DEGREE)
    assert np.array_equal(cands.columns["r"], piecewise(BY_MARKET.x, BY_MARKET.y, before.columns["r"], row))
    knots = [np.interp(v, BY_MARKET.x, BY_MARKET.y[k]) for v, k in zip(before.columns["r"], row, strict=True)]
    assert np.abs(cands.columns["r"] - knots).max() < 1e-15
    assert cands.columns["other"] is before.columns["other"]
    assert np.array_equal(cands.request_columns["r"], before.columns["r"])
    again = cands.calibrated({"r": HALF, "p": None})
    assert np.array_equal(again.columns["r"], before.columns["r"] * 0.5)
    assert again.columns["p"] is before.columns["p"]
    assert "r (calibrated)" in repr(again)
    assert list(again.calibration) == ["r"]


def test_every_way_to_score_gives_the_solvers_bits(solution: oa.Solution, policy: oa.Policy) -> None:
    want, cands = solution.scores(), solution.problem.candidates
    hot, labels = policy.prepare(DEGREE), cands.items["artist"].labels[cands.items["artist"].codes]
    slates = []
    for u, mine, items, columns in requests(solution, policy):
        assert np.array_equal(policy.score(items, columns, u), want[mine])
        out = np.empty(DEGREE)
        assert np.array_equal(policy.score(items, columns, u, out=out), want[mine]), "the long way"
        unseen = policy.score(np.full(DEGREE, -1), columns, u, artist=labels[cands.item[mine]].tolist())
        assert np.array_equal(unseen, want[mine]), "new items have the map of their label"
        slates.append(policy.select(items, columns, u).tolist())
        hot.items[:] = items
        for row, name in enumerate(hot.names):
            hot.columns[row] = columns[name]
        for _ in range(2):  # buffers of callers are not changed
            shown = hot.select(DEGREE, policy._reader.user(u))
            assert hot.positions[:shown].tolist() == slates[-1]
        assert np.array_equal(hot.scores, want[mine])
    items = policy.encode([f"t{k:02d}" for k in cands.item])
    batch = cands.indptr, items, cands.request_columns, np.arange(N_USERS)
    assert np.array_equal(policy.score_batch(*batch), want)
    found = policy.select_batch(*batch)
    assert [[int(p) - u * DEGREE for p in row if p >= 0] for u, row in enumerate(found)] == slates
    many = policy.prepare_batch(N_USERS, cands.n_pairs)
    for u in range(N_USERS):
        a, b = many.add(DEGREE, policy._reader.user(u))
        many.items[a:b] = items[a:b]
        many.columns[:, a:b] = [cands.request_columns[name][a:b] for name in many.names]
    assert many.select() == N_USERS
    assert np.array_equal(many.scores, want)


def test_plain_slates_boosts_and_explanations() -> None:
    cands = market().calibrated({"r": BY_MARKET})
    solution = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="artist") <= 40.0, oa.Slate(3)))
    policy, want = solution.policy(), solution.scores()
    hot = policy.prepare(DEGREE)
    for u, mine, items, columns in requests(solution, policy):
        slate = policy.select(items, columns, u)
        assert (np.diff(want[mine][slate]) <= 0).all()
        hot.items[:], hot.columns[0] = items, columns["r"]
        assert hot.positions[: hot.select(DEGREE, policy._reader.user(u))].tolist() == slate.tolist()
        boosts = policy.boosts(items, columns, u)
        assert np.array_equal(boosts, want[mine] - columns["r"]), "the host adds to its own score, not a calibrated one"
        explained = policy.explain(items, columns, u)
        assert [one.score for one in explained] == want[mine].tolist()
        assert [one.organic for one in explained] == cands.columns["r"][mine].tolist()
        parts = [sum(part.amount for part in one.parts) for one in explained]
        assert np.allclose(parts, want[mine], atol=1e-12)
    raw = np.linspace(0.0, 1.0, 5)
    fallback = policy.organic_only()
    assert fallback.score(np.arange(5), {"r": raw}, 0).tolist() == raw.tolist()
    assert fallback.boosts(np.arange(5), {"r": raw}, 0).tolist() == [0.0] * 5


def test_rows_for_a_host_have_the_same_scores(solution: oa.Solution, policy: oa.Policy, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet`")
    cands = solution.problem.candidates
    policy.to_parquet(cands, tmp_path / "answers.parquet")
    table = pq.read_table(tmp_path / "answers.parquet")
    assert np.array_equal(table["score"].to_numpy(), solution.scores())
    assert np.array_equal(table["boost"].to_numpy(), solution.scores() - cands.request_columns["r"])


def test_a_session_maps_new_numbers_too() -> None:
    cands = market().calibrated({"r": HALF})
    session = oa.Session(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2)))
    before = session.solve().value
    new = cands.request_columns["r"] * 0.5
    session.change(columns={"r": new})
    assert session.solve().value == pytest.approx(before / 2)
    assert np.array_equal(session.problem.candidates.request_columns["r"], new)


def test_pacers_count_calibrated_amounts() -> None:
    cands = market().calibrated({"r": HALF})
    cap = oa.total("r", by="artist") <= 8.0
    made = oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(2))).policy()
    plan = oa.Plan("artist", 0.0, 3600.0, caps=dict.fromkeys(range(5), 5.0), column="r")
    pacer = oa.Pacer(made, plan, clock=lambda: 0.0)
    items, columns = np.arange(4), {"r": np.array([0.8, 0.6, 0.4, 0.2])}
    used = pacer.usage([0, 1], items, columns)
    assert sum(used.amounts) == pytest.approx((0.8 + 0.6) / 2)
    hot = pacer.prepare(4)
    hot.items[:4], hot.columns[:, :4] = items, columns["r"]
    shown = hot.select(4, pacer.user())
    hot.observe(shown)
    assert shown == 2
    assert sum(pacer.delivered().values()) == pytest.approx(sum(columns["r"][hot.positions[:shown]]) / 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(policy: oa.Policy, value: float) -> None:
    columns = {"r": [0.5, value], "p": [0.5, 0.5]}
    for call in (policy.score, policy.select, policy.explain):
        with pytest.raises(oa.InputError, match="entry 1"):
            call([0, 1], columns)
    for call in (policy.score_batch, policy.select_batch):
        with pytest.raises(oa.InputError, match=r"columns\['r'\]: pair 1"):
            call([0, 2], [0, 1], columns)
    hot = policy.prepare(2)
    hot.items[:], hot.columns[:] = [0, 1], [[0.5, value], [0.5, 0.5]]
    hot.score(2, policy.user())
    assert np.isfinite(hot.scores[0])
    assert np.isnan(hot.scores[1])


def test_bad_calibrations_are_refused_in_words() -> None:
    cands = market()
    for given, message in (
        ({"x": HALF}, "there is no column 'x'"),
        ({"r": 0.5}, "expected an oa.Calibration"),
        ({"r": replace(BY_MARKET, key="markt")}, "no key 'markt' of users or items. Did you mean 'market'"),
        ({"r": replace(BY_ARTIST, labels=("0", "3"))}, "no label is in both"),
        ({"r": replace(HALF, x=np.array([1.0, 1.0]))}, "knots do not ascend"),
        ({"r": replace(HALF, y=np.array([[1.0, 0.0]]))}, "values decrease"),
        ({"r": replace(HALF, y=np.array([[np.nan, 0.0]]))}, "not finite"),
        ([HALF], "expected {column: calibration}"),
    ):
        with pytest.raises(oa.InputError, match=message):
            cands.calibrated(given)  # type: ignore[arg-type]
    several = oa.Candidates.from_arrays([0, 1], [0], {"r": [0.5]}, items={"genre": [["a", "b"]]})
    with pytest.raises(oa.InputError, match="several labels in the key 'genre'"):
        several.calibrated({"r": replace(BY_MARKET, key="genre")})


def test_snapshots_need_schema_3_and_refuse_bad_maps(policy: oa.Policy, tmp_path: Path) -> None:
    raw = to_bytes(*encode(policy.data))
    arrays, header = from_bytes(raw)
    assert header["schema"] == "3"
    assert decode(arrays, header).calibration[0].key == "market"
    assert "schema" not in encode(replace(policy.data, calibration=()))[1], "other policies stay readable as before"
    with pytest.raises(SnapshotError, match="calibration"):
        decode(arrays, {**header, "schema": "2"})
    bad: dict[str, Any] = {
        "x": replace(policy.data.calibration[0], x=np.array([0.0, 0.0, 1.0])),
        "y": replace(policy.data.calibration[0], y=policy.data.calibration[0].y[:, ::-1].copy()),
        "codes": replace(policy.data.calibration[0], codes=np.array([1, 0], np.int32)),
        "key": replace(policy.data.calibration[0], key="nowhere"),
        "column": replace(policy.data.calibration[0], column="nowhere"),
    }
    for name, one in bad.items():
        data: PolicyData = replace(policy.data, calibration=(one, *policy.data.calibration[1:]))
        path = tmp_path / name
        path.write_bytes(to_bytes(*encode(data)))
        with pytest.raises(SnapshotError) as error:
            oa.Policy.load(path)
        assert error.value.reason == "content"
    document = json.loads(header["policy"])
    document["calibration"][0]["more"] = 1
    with pytest.raises(SnapshotError):
        decode(arrays, {**header, "policy": json.dumps(document, separators=(",", ":"), ensure_ascii=False)})


@pytest.mark.full
def test_java_refuses_the_same_maps(policy: oa.Policy, tmp_path: Path) -> None:
    good, vectors = tmp_path / "good", tmp_path / "none.json"
    policy.save(good)
    vectors.write_text('{"requests": []}')
    done = run("oasisalloc.Vectors", good, vectors)
    assert done.returncode == 0, done.stderr
    one = policy.data.calibration[0]
    for changed in (
        replace(one, x=np.array([0.0, 0.0, 1.0])), replace(one, y=one.y[:, ::-1].copy()),
        replace(one, codes=np.array([1, 0], np.int32)), replace(one, key="nowhere"),
    ):  # fmt: skip
        bad = tmp_path / "bad"
        bad.write_bytes(to_bytes(*encode(replace(policy.data, calibration=(changed, *policy.data.calibration[1:])))))
        done = run("oasisalloc.Vectors", bad, vectors)
        assert done.returncode == 3, done.stdout
        assert "refused" in done.stderr


def test_kernels_do_what_numpy_does() -> None:
    from oasis_alloc.kernels.serve import calibrate

    rng = np.random.default_rng(3)
    for knots, others, scale in product((2, 3, 5, 6, 9, 14), (2, 11), (1e-300, 1.0, 1e300)):
        x, y = scale * np.sort(rng.normal(size=knots)), np.sort(rng.normal(size=(4, knots)), axis=1)
        y[0, 0], y[3] = -0.0 if y[0, 1] > 0 else y[0, 0], 0.25
        with np.errstate(over="ignore"):
            if not np.isfinite(np.diff(y, axis=1) / np.diff(x)).all():
                continue
        column = ColumnCalibration("r", "artist", np.arange(3, dtype=np.int32), x, y)
        more = replace(column, x=np.arange(float(others)), y=np.tile(np.arange(float(others)), (2, 1)))
        plan, first, width = _packed((more, column), [1, 0], [-1, 2])
        assert plan[6:10].tolist() == [0, plan[7], first[1], 2], "row, knots, first map, and the row of `of_item`"
        at = int(plan[7])
        assert np.array_equal(starts(x, y), [piecewise(x, y, x[:-1], row) for row in range(4)])
        near = np.concatenate([np.nextafter(x, -np.inf), x, np.nextafter(x, np.inf), [0.0, -0.0, 1e308, -1e308]])
        values = np.concatenate([scale * rng.normal(size=500), near, [np.inf, -np.inf, np.nan]])
        n, finite = values.size, values.size - 3
        items, class_of = rng.integers(-1, 30, n), rng.integers(0, 7, 31).astype(np.uint32)
        row_of = rng.integers(0, 4, 7)
        map_of = (first[1] + row_of * width).astype(np.uint32)
        out, by_item = np.empty(n), np.empty(n)
        for row in range(4):
            calibrate.piecewise(0, n, values, plan, at, first[1] + row * width, out)
            assert out[:finite].tobytes() == piecewise(x, y, values[:finite], row).tobytes(), "to the last bit"
        calibrate.piecewise_by_item(0, n, items, values, plan, at, class_of, map_of, by_item)
        rows = row_of[class_of[items]]
        assert by_item[:finite].tobytes() == piecewise(x, y, values[:finite], rows[:finite]).tobytes()
        assert np.isnan([out[finite:], by_item[finite:]]).all()
        by_item[:] = 7.0
        calibrate.piecewise_by_item(3, 5, items, values, plan, at, class_of, map_of, by_item)
        assert np.array_equal(by_item[:6], [7.0, 7.0, 7.0, *piecewise(x, y, values[3:5], rows[3:5]), 7.0])


def test_scores_of_columns_mapped_on_the_way_have_the_bits_of_mapping_first() -> None:
    from oasis_alloc.kernels.serve import score_calibrated

    rng = np.random.default_rng(5)
    blends = (  # number of terms, weights, rows of their columns (-1: a constant), rows of columns with prices
        [1, 1.0, 1], [1, -0.7, 1], [2, 1.0, 0.4, 1, 0], [2, 0.4, 1.0, 0, 1], [2, 0.5, 2.0, 1, -1], [2, 0.5, 2.0, -1, 1],
        [3, 0.1, 2.0, 0.3, 0, -1, 1], [3, 0.1, 2.0, 0.3, 1, 0, 0], [1, 1.0, 1, 0], [2, 0.4, 1.0, 0, 1, 1], [0],
        [1, 1.0, 0], [2, 0.4, 1.0, 1, 1],
    )  # fmt: skip
    for knots, place, blend in product((3, 5, 11), (-1, 2), blends):
        x = np.linspace(-1.0, 1.0, knots)
        one = ColumnCalibration("r", "artist", np.arange(3, dtype=np.int32), x, np.sort(rng.normal(size=(4, knots))))
        plan, first, width = _packed([one], [1], [place])
        n, n_classes = 300, 7
        of_item = np.zeros((3, 31), np.uint32)
        of_item[0], of_item[2, :n_classes] = rng.integers(0, n_classes, 31), first[0] + rng.integers(0, 4, 7) * width
        plan[4] = first[0] + 2 * width
        items, both = rng.integers(-1, 32, n), np.zeros((2, 3, n))
        both[0, :2] = rng.normal(size=(2, n))
        both[0, 1, :8] = np.inf, -np.inf, np.nan, -0.0, 0.0, x[1], 9.0, -9.0
        prices = (
            np.array([float(number) for number in blend]),
            of_item,
            rng.normal(size=(1 + len(blend[1 + 2 * blend[0] :]), 7)),
        )
        scores, given = np.full((2, n), np.nan), both[0, :2].copy()
        for out, writes in zip(scores, (False, True), strict=True):
            score_calibrated.score_calibrated(n, items, both, writes, *prices, out, plan)
        assert both[0, :2].tobytes() == given.tobytes(), "what was given is not changed"
        assert np.array_equal(np.isnan(scores[0]), np.isnan(scores[1]))
        assert np.nan_to_num(scores[0]).tobytes() == np.nan_to_num(scores[1]).tobytes(), (knots, place, blend)


def test_warmup_compiles_what_calibrated_policies_run(policy: oa.Policy) -> None:
    from oasis_alloc.kernels.serve import score_calibrated

    kernels = {"calibrated_best", "calibrated_scores", "best_calibrated", "score_calibrated"}
    assert kernels <= policy.warmup(draws=False).keys()
    signatures = len(score_calibrated.calibrated_scores.signatures)  # type: ignore[attr-defined]
    policy.score([0, 1], {"r": [0.1, 0.2], "p": [0.1, 0.2]})
    assert len(score_calibrated.calibrated_scores.signatures) == signatures  # type: ignore[attr-defined]
