"""Objects are pickled and copied, in this process and for another: same content, read-only as before, same answers."""

from __future__ import annotations

import copy
import dataclasses
import enum
import importlib.util
import inspect
import multiprocessing
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.publish.keys import make_keys

N_USERS, DEGREE, N_ITEMS = 40, 6, 12

# Objects that are of one process, and say so: file, thread and locks of their own.
OF_ONE_PROCESS = {"PolicyStore", "Ledger", "Allowance", "DecisionLog", "DriftWatch"}


def candidates() -> oa.Candidates:
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    return oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * DEGREE,
        item,
        {"r": rng.random(item.size), "s": rng.random(item.size, np.float32)},
        users={"market": ["SE", "DE"] * (N_USERS // 2)},
        items={"artist": np.arange(N_ITEMS) % 4, "genre": [["pop", "rock"], ["rock"], None, ["pop"]] * 3},
        item_ids=[f"track-{k:02d}" for k in range(N_ITEMS)],
    )


def framed() -> oa.Candidates:
    rng = np.random.default_rng(1)
    pairs = pd.DataFrame({"user": np.repeat(["a", "b", "c"], 4), "item": list("wxyz") * 3, "r": rng.random(12)})
    return oa.Candidates.from_frames(pairs, items=pd.DataFrame({"item": list("wxyz"), "artist": [1, 1, 2, 2]}))


def partitions() -> oa.Partitions:
    with tempfile.TemporaryDirectory() as folder:
        pd.DataFrame({"user": [1, 2], "item": [3, 3], "r": [0.5, 0.25]}).to_parquet(f"{folder}/pairs.parquet")
        return oa.partition(f"{folder}/pairs.parquet", f"{folder}/out")


def problem(cands: oa.Candidates) -> oa.Problem:
    """A problem with one of every function."""
    artist = oa.exposure(by="artist")
    share = dict.fromkeys(range(4), 0.25)
    gain = oa.total("r") + 0.1 * oa.log(artist, offset=1.0) + 0.1 * oa.alpha_fair(artist, 2.0, offset=1.0)
    gain = gain + 0.1 * oa.worst_off(artist) + 0.1 * oa.gini_welfare(oa.exposure(by="market"), [2.0, 1.0])
    gain = gain - 0.01 * oa.square_deviation(artist, dict.fromkeys(range(4), 20.0)) + 0.1 * oa.reach(artist, 5.0)
    gain = gain + 0.1 * oa.entropy(artist, 80.0) - 0.1 * oa.kl(artist, share, 80.0)
    limits = [
        artist <= {0: 30.0, 1: 25.0},
        (oa.exposure(by=("market", "artist")) >= np.full(8, 1.0)).named("floors"),
        oa.soft(artist >= 2.0, penalty=3.0),
        oa.exposure(by="genre").delivered_so_far({"pop": 1.0}) <= 70.0,
        oa.total("s") >= 1.0,
    ]
    return oa.Problem(cands, gain, limits, oa.Slate(2, at_most={"genre": 1}, diminishing={"artist": [0.0, 0.1]}))


def plain(cands: oa.Candidates) -> oa.Problem:
    return oa.Problem(cands, oa.total("r"), [(oa.exposure(by="artist") <= 20.0).named("caps")], oa.Slate(2))


def saved(solution: oa.Solution) -> oa.SavedSolution:
    with tempfile.TemporaryDirectory() as folder:
        solution.save(f"{folder}/saved")
        return oa.load_solution(f"{folder}/saved")


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """An object of every public class, and others that users hold."""
    cands = candidates()
    rich, simple = problem(cands), plain(cands)
    solution = oa.solve(simple)
    policy = solution.policy(exploration=oa.Exploration(share=0.1, smoothing=0.05))
    columns = {"r": np.linspace(0.1, 0.6, 4)}
    requests = policy.encode(["track-00", "track-03", "track-05", "unseen"]), columns
    states: list[oa.Progress] = []
    oa.solve(simple, progress=states.append)
    infeasible = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() >= 1e4))
    embeddings = oa.Embeddings(np.random.default_rng(2).random((N_ITEMS, 3)))
    guarded = oa.solve(simple.replace(slate=oa.Slate(2, at_most={"artist": 1}, keep={"r": 0.9}, at_least=1)))
    session = oa.Session(simple)
    session.solve(gap=1e-3)
    return {
        "candidates": cands,
        "framed": framed(),
        "partitions": partitions(),
        "ray engine": oa.RayEngine(actors=2, address="10.0.0.5:6379"),
        "key": cands.users["market"],
        "several": cands.items["genre"],
        "grouping": cands.grouping(("market", "artist")),
        "measure": oa.exposure(by="artist") - 0.25 * oa.exposure(),
        "delivered": oa.exposure(by="artist").delivered_so_far([1.0, 2.0, 3.0, 4.0]),
        "objective": rich.maximize,
        **{f"function {name}": function for name, function in zip(rich.names, rich.functions, strict=True)},
        **{f"bound {name}": function for name, function in zip(rich.names, rich.bound, strict=True)},
        "slate": rich.slate,
        "slate by user": oa.Slate(np.arange(1, N_USERS + 1), slot_weights=np.linspace(1.0, 0.1, N_USERS)),
        "problem": rich,
        "reproduction": oa.Reproduction(simple, {"gap": 1e-3}, {"python": "3.11"}),
        "supplied": simple.replace(supply=np.linspace(1.0, 2.0, N_USERS)),
        "steady": oa.Problem(cands, oa.total("r") + oa.stay_close(solution, weight=0.1)),
        "solution": solution,
        "infeasible": infeasible,
        "comparison": oa.compare(solution, solution),
        "saved": saved(solution),
        "conflict": infeasible.conflicts[0],
        "status": solution.status,
        "progress": states[0],
        "rounded": solution.round(),
        "shadow price": solution.shadow_prices()[0],
        "shadow prices": solution.shadow_prices(),
        "plots": solution.plot,
        "session": session,
        "reused": session.reused,
        "quote": oa.quote(solution, of={"artist": 1}, units=0.5),
        "quotes": oa.quote(solution, [oa.QuoteRequest(of={"artist": 1})]),
        "quote request": oa.QuoteRequest(of={"artist": 1}, units=2.0),
        **uncertain(cands, simple),
        "frontier": oa.frontier(simple, vary="caps", points=[15.0, 20.0]),
        "policy": policy,
        "policy with rules": guarded.policy(),
        "user": policy.user(),
        "sample": policy.sample(*requests, rng=3),
        "exploration": oa.Exploration(share=0.1, smoothing=0.05),
        "explanation": policy.explain(*requests),
        "prepared": policy.prepare(8),
        "prepared with rules": guarded.policy().prepare(8),
        "prepared batch": policy.prepare_batch(4, 32),
        "prepared diverse": policy.prepare(8, diversify=oa.MMR(0.3), embeddings=embeddings),
        "embeddings": embeddings,
        "mmr": oa.MMR(0.3),
        "target shares": oa.TargetShares([1.0, 3.0], 0.5),
        "dpp": oa.DPP(0.3),
        "staleness": oa.Staleness(),
        **published(policy),
        **logged(policy),
        "job result": oa.JobResult("a", Path("runs/a"), "gate failed", "churn", {"gates": {"text": "churn"}}),
        "calibration": oa.Calibration(np.array([0.0, 1.0]), np.array([[0.1, 0.4], [0.2, 0.3]]), "market", ("SE",)),
        "selected error": oa.SelectedError(0.93, 0.006, 0.92, 0.94, 50.0, 46.5, 90, 30, "sample splitting", 0.95),
        "sketch": oa.Sketch.of({"r": [0.1, 0.2, 0.3]}, bins=2),
        "drift effect": oa.DriftEffect("caps", "a", 1.0, 2.0, -np.inf, 1.0, 0.1, "up", 0.2),
        "drift": oa.Drift("r", 0.1, 0.2, 0.0, 0.0, 10),
        "drift report": oa.DriftReport((oa.Drift("r", 0.1, 0.2, 0.0, 0.0, 10),), ("r",), 0.5, 3, {}),
        "reliability": oa.Reliability.of([0.2, 0.8], [0, 1]),
        "event": oa.Event("a", "one", 0.0),
        "receipt": oa.Receipt(1, 0, 0, (oa.Rejected(0, "a", "key", "wrong"),)),
        "rejected": oa.Rejected(0, "a", "key", "wrong"),
        "delivered total": oa.DeliveredTotal("one", 0.0, 1.0, 0.0, 0.0),
        "schedule": oa.Schedule.fit([0.0, 3600.0], by=["a", "b"], zone="Europe/Stockholm", holidays=["1970-01-01"]),
        **paced(policy),
        **asked(solution),
        **dict(errors()),
        **evaluated(),
    }


def explored() -> dict[str, Any]:
    return {"exploration choice": oa.choose_exploration(0.01, requests=100_000, rate=0.05, candidates=20)}


def evaluated() -> dict[str, Any]:
    found = oa.off_policy([1, 0, 0, 1] * 25, [0.5] * 100, [0.5, 0.5, 0.25, 0.75] * 25)
    return {"off policy": found, "estimate": found.best, "weights": found.weights, **explored()}


def asked(solution: oa.Solution) -> dict[str, Any]:
    """Answers to what-if questions."""
    what = solution.what_if(limits={"caps": 18.0}, by="artist")
    why = oa.reasons(solution, 0, by="artist")
    curve = oa.limit_curve(solution, "caps", 0, [15.0, 20.0])
    found = oa.served(solution)
    steps = oa.Schedule.flat().over(1_782_864_000.0, 1_782_950_400.0)
    ahead = oa.forecast(solution, steps, by="artist", now=0.0, scenarios=100)
    return {
        "what if": what, "moves": what.moved("artist"), "move": what.value, "limit curve": curve, "reasons": why,
        "competitor": why.competitors[0], "served": found, "miss": found.rows[0],
        "forecast": ahead, "campaign forecast": ahead[0], "point": ahead[0].points[0],
        "remedy": oa.Remedy("longer flight", 20.0, 0.0, 0.0, "go on for 2 days"),
        "closer": oa.Closer("rounding", 0.0, 0.0, 1.0, 0.1, "draw slates"),
    }  # fmt: skip


def uncertain(cands: oa.Candidates, simple: oa.Problem) -> dict[str, Any]:
    draws = oa.Draws(cands, {"r": cands.columns["r"] * np.array([[1.0], [0.9]])}, np.ones((2, N_USERS)))
    answer = oa.solve_uncertain(simple, risk=oa.CVaR(0.5), draws=draws)
    return {
        "draws": draws,
        "uncertain": answer,
        "cvar": oa.CVaR(0.2),
        "quantile": oa.LowerQuantile(0.1),
        "value estimate": oa.estimate_value(answer, draws=draws),
        "value difference": oa.value_difference(answer, answer, draws=draws),
        "information": oa.perfect_information(simple, draws),
    }


def logged(policy: oa.Policy) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        with oa.DecisionLog(folder) as log:
            log.record("r", policy, ["track-00", "track-03"], {"r": [0.5, 0.25]}, [1], labels={"market": "SE"})
        decisions = oa.read_decisions(folder)
        return {"decision": decisions[0], "decisions": decisions}


def published(policy: oa.Policy) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _, public, _ = make_keys(f"{folder}/key")
        trust = oa.Trust(public, name="radio", remember="radio.version")
        version = oa.publish(policy, folder, reasons=["a", "b"], accepted={"gap": "known"})
        directory = oa.PolicyDirectory(folder, trust=trust)
        return {"published version": version, "trust": trust, "policy directory": directory}


def paced(policy: oa.Policy) -> dict[str, Any]:
    """A pacer, what it is made of and what it returns."""
    plan = oa.Plan("artist", 0.0, 100.0, caps={0: 10.0, 1: 8.0})
    pacer = oa.Pacer(policy, plan, clock=float)
    for k in range(1, 9):
        pacer.observe({0: 1.0}, event=k, status="served", time=0.0)
        pacer.tick(float(k))
    requests = oa.Requests(candidates(), np.arange(float(N_USERS)))
    return {
        "plan": plan, "pacer": pacer, "outlook": pacer.outlook(9.0)[0], "overlay": pacer.overlay(),
        "prepared pacer": pacer.prepare(8), "requests": requests, "scenario": oa.Scenario(replicas=2),
        "replay": oa.Replay(({"contender": "a", "scenario": "s", "seed": 0, "value": 2.0},), (), ("a",), ("s",), (0,)),
    }  # fmt: skip


def errors() -> Iterator[tuple[str, Exception]]:
    for name, of in ((name, getattr(oa, name)) for name in dir(oa)):  # names are found on first use
        if inspect.isclass(of) and issubclass(of, Exception):
            given: dict[object, tuple[Any, ...]] = {
                oa.SnapshotError: ("what is wrong", "expired"), oa.CertificateError: (1.0, 2.0),
            }  # fmt: skip
            yield name, of(*given.get(of, ("what is wrong",)))


def ways() -> dict[str, Callable[[Any], Any]]:
    """Every way to make another of an object."""
    out: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        out[f"pickle {protocol}"] = lambda one, p=protocol: pickle.loads(pickle.dumps(one, p))  # type: ignore[misc]
    return out | {"out of band": out_of_band}


def out_of_band(one: Any) -> Any:
    """As joblib, dask and ray do it: arrays apart, here into memory that may be written."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(one, 5, buffer_callback=buffers.append)
    return pickle.loads(text, buffers=[bytearray(buffer.raw()) for buffer in buffers])


def parts(one: Any) -> dict[str, Any]:
    """What an object of ours consists of."""
    if dataclasses.is_dataclass(one):
        return {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}
    slots = {name for of in type(one).__mro__ for name in getattr(of, "__slots__", ()) if name != "__weakref__"}
    return {**getattr(one, "__dict__", {}), **{name: getattr(one, name) for name in slots if hasattr(one, name)}}


def same(one: Any, other: Any, where: str, seen: set[int]) -> None:
    """Two objects are alike to the last array, and its being read-only."""
    if id(one) in seen:
        return
    seen.add(id(one))
    assert type(one) is type(other), where
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        assert one.flags.writeable == other.flags.writeable, f"{where}: read-only or not"
        equal_nan = one.dtype.kind == "f"
        assert np.array_equal(one, other, equal_nan=equal_nan), where
    elif isinstance(one, Mapping):
        assert list(one) == list(other), where
        for key, value in one.items():
            same(value, other[key], f"{where}[{key!r}]", seen)
    elif isinstance(one, enum.Enum) or inspect.isroutine(one) or hasattr(one, "py_func"):
        assert one is other, where
    elif isinstance(one, (list, tuple)) and not hasattr(one, "__dict__"):
        assert len(one) == len(other), where
        for k, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            same(mine, theirs, f"{where}[{k}]", seen)
    elif isinstance(one, oa.Policy):
        same(one.data, other.data, f"{where}.data", seen)
    elif isinstance(one, BaseException):
        assert (one.args, one.__dict__) == (other.args, other.__dict__), where
    elif type(one).__module__.startswith("oasis_alloc"):
        mine, theirs = parts(one), parts(other)
        caches = {name for name in mine if name.startswith("_")}
        for name in mine.keys() - caches:
            same(mine[name], theirs[name], f"{where}.{name}", seen)
        if isinstance(one, ByFields):
            for name in caches:
                if not isinstance(mine[name], dict):
                    same(mine[name], theirs[name], f"{where}.{name}", seen)
    elif isinstance(one, float):
        assert one == other or one != one, where
    else:
        assert str(one) == str(other), where


def test_there_is_an_object_of_every_public_class(objects: dict[str, Any]) -> None:
    public = {name for name in dir(oa) if inspect.isclass(getattr(oa, name)) and not name.startswith("_")}
    covered = {of.__name__ for one in objects.values() for of in type(one).__mro__}
    assert public - covered == OF_ONE_PROCESS


@pytest.mark.few(2)
@pytest.mark.parametrize("way", ways())
def test_every_object_is_the_same_afterwards(objects: dict[str, Any], way: str) -> None:
    for name, one in objects.items():
        same(one, ways()[way](one), name, set())


def test_what_cannot_be_pickled_says_what_to_do(objects: dict[str, Any], tmp_path: Path) -> None:
    objects["policy"].save(tmp_path / "policy.snap")
    with oa.PolicyStore(tmp_path / "policy.snap") as store:
        for way in ways().values():
            with pytest.raises(
                TypeError, match=r"a PolicyStore .* to one process.*PolicyStore\(path, \.\.\.\) in each"
            ):
                way(store)


def test_a_copied_problem_can_be_changed_as_the_first(objects: dict[str, Any]) -> None:
    for way in ways().values():
        other = way(objects["problem"]).replace(slate=oa.Slate(1))
        assert other.slate == oa.Slate(1)
        assert other.names == objects["problem"].names


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("way", "make"), diagonal(["pickle 4", "deepcopy", "copy", "out of band"], {"plain": plain, "rich": problem})
)
def test_copies_solve_to_the_same_bits(objects: dict[str, Any], way: str, make: Any) -> None:
    one = make(objects["candidates"])
    assert answer(oa.solve(ways()[way](one), gap=1e-3)) == answer(oa.solve(one, gap=1e-3))


def test_a_copied_solution_does_all_that_a_solution_does(objects: dict[str, Any]) -> None:
    one = objects["solution"]
    other = pickle.loads(pickle.dumps(one))
    assert str(other) == str(one)
    assert other.to_frame("pandas").equals(one.to_frame("pandas"))
    assert other.policy().policy_id == one.policy().policy_id
    assert np.array_equal(other.round(rng=5).pairs, one.round(rng=5).pairs)
    assert other.churn(one) == one.churn(other) == 0.0
    assert oa.solve(other.problem, start=other, gap=1e-6).status is oa.Status.SOLVED
    with pytest.raises(ValueError, match="read-only"):
        other.problem.candidates.columns["r"][0] = 2.0
    with pytest.raises(TypeError):
        other.problem.candidates.columns["r"] = 2.0


def test_things_that_belong_together_do_so_afterwards(objects: dict[str, Any]) -> None:
    solution, policy = objects["solution"], objects["policy"]
    pair = pickle.loads(pickle.dumps((solution.problem, solution, solution.problem.candidates)))
    assert pair[1].problem is pair[0]
    assert pair[0].candidates is pair[2]
    user = policy.user()
    prepared = policy.prepare(8)
    together = pickle.loads(pickle.dumps({"policy": policy, "user": user, "prepared": prepared}))
    there = together["policy"]
    assert there.user() is there.user(), "users are made once"
    items, columns = there.encode(["track-00", "track-03", "track-05"]), {"r": np.array([0.3, 0.2, 0.1])}
    chosen = there.select(items, columns, user=together["user"])
    assert chosen.tolist() == policy.select(items, columns, user=user).tolist()
    for one, known in ((prepared, user), (together["prepared"], together["user"])):
        one.items[:3], one.columns[0, :3] = items, columns["r"]
        assert one.positions[: one.select(3, known)].tolist() == chosen.tolist()
    alone = pickle.loads(pickle.dumps(user))
    with pytest.raises(oa.InputError, match="made by another policy"):
        there.select(items, columns, user=alone)


def test_a_policy_that_was_unpickled_runs_the_kernels_that_are_there(objects: dict[str, Any]) -> None:
    from oasis_alloc.kernels.serve import score as serve
    from oasis_alloc.kernels.serve import select_one

    items, columns = np.arange(4), {"r": np.linspace(0.1, 0.4, 4)}
    for name in ("policy", "policy with rules"):
        one = objects[name]
        one.select(items, columns)
        compiled = [len(kernel.signatures) for kernel in (serve.score, serve.best, select_one.keep_scored)]  # type: ignore[attr-defined]
        for way in ways().values():
            other = way(one)
            assert other.select(items, columns).tolist() == one.select(items, columns).tolist()
            assert other.score(items, columns).tolist() == one.score(items, columns).tolist()
        assert [len(kernel.signatures) for kernel in (serve.score, serve.best, select_one.keep_scored)] == compiled  # type: ignore[attr-defined]


def answer(solution: oa.Solution) -> tuple[Any, ...]:
    return (
        solution.status, solution.value, solution.bound, solution.pairs.tolist(), solution.x.tolist(),
        {name: prices.tolist() for name, prices in solution.prices.items()},
    )  # fmt: skip


def elsewhere(one: Any) -> Any:
    """What another process makes of an object."""
    if isinstance(one, oa.Problem):
        solution = oa.solve(one, gap=1e-3)
        return solution, answer(solution), solution.problem.candidates.indptr.flags.writeable
    return one.score([0, 1], {"r": [0.5, 0.6]}).tolist()


@pytest.mark.full
def test_another_process_finds_the_same_answer(objects: dict[str, Any], tmp_path: Path) -> None:
    """Spawned, not forked: also from files, which it reads by itself."""
    cands = objects["candidates"]
    cands.to_parquet(tmp_path)
    users, items = {"market": ["SE", "DE"] * (N_USERS // 2)}, {"artist": np.arange(N_ITEMS) % 4}
    streamed = oa.Candidates.from_parquet(tmp_path, users=users, items=items)
    problems = [problem(cands), plain(cands), plain(streamed), plain(objects["framed"])]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(elsewhere, [*problems, objects["policy"]]))
    for one, (solution, there, writable) in zip(problems, found[:-1], strict=True):
        assert answer(oa.solve(one, gap=1e-3)) == there == answer(solution)
        assert not writable
    assert found[-1] == elsewhere(objects["policy"])


def test_streamed_candidates_notice_changes_in_another_process_too(tmp_path: Path) -> None:
    candidates().to_parquet(tmp_path)
    text = pickle.dumps(oa.Candidates.from_parquet(tmp_path, items={"artist": np.arange(N_ITEMS) % 4}, memory="64KiB"))
    there = pickle.loads(text)
    assert there.stream.budget.limit == 64 << 10
    assert oa.solve(plain(there)).status is oa.Status.SOLVED
    candidates().to_parquet(tmp_path)
    with pytest.raises(oa.InputError, match=r"pairs\.parquet has changed"):
        oa.solve(plain(pickle.loads(text)))


@pytest.mark.full
@pytest.mark.skipif(importlib.util.find_spec("joblib") is None, reason="joblib is not installed")
def test_joblib_calls_with_arrays_mapped_from_files(objects: dict[str, Any]) -> None:
    import joblib

    one = plain(objects["candidates"])
    found = joblib.Parallel(n_jobs=2, max_nbytes=1)(
        joblib.delayed(elsewhere)(p) for p in (one, problem(one.candidates))
    )
    assert found[0][1] == answer(oa.solve(one, gap=1e-3))


def test_arrays_that_are_mapped_from_files_do_as_well(tmp_path: Path) -> None:
    """What joblib makes of large arrays: `np.memmap`, read-only."""
    cands = candidates()
    mapped = copy.copy(cands)
    for name in ("indptr", "item"):
        np.save(tmp_path / f"{name}.npy", getattr(cands, name))
        object.__setattr__(mapped, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    assert isinstance(mapped.indptr, np.memmap)
    assert answer(oa.solve(plain(mapped))) == answer(oa.solve(plain(cands)))


def test_a_frozen_mapping_is_a_mapping_that_stays() -> None:
    one = FrozenMapping({"a": 1, "b": 2})
    assert (dict(one), list(one), len(one), "a" in one, one.get("c")) == ({"a": 1, "b": 2}, ["a", "b"], 2, True, None)
    assert one | {"c": 3} == {"c": 3} | one == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(TypeError):
        one["a"] = 3  # type: ignore[index]
    with pytest.raises(TypeError):
        del one["a"]  # type: ignore[attr-defined]
