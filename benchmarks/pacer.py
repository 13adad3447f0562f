"""What a request of a pacer takes, and how many requests a replay plays per second.

    python -m benchmarks.pacer

Times are of the processor, so that other programs on the machine do not count.
"""

from __future__ import annotations

import time

import numpy as np

import oasis_alloc as oa

CANDIDATES, CALLS = 100, 20_000


def market(n: int, each: int) -> oa.Candidates:
    """Requests over 20,000 items, a tenth of them in 55 campaigns."""
    rng = np.random.default_rng(0)
    items = 20_000
    campaign = np.where(rng.random(items) < 0.1, rng.integers(0, 55, items), -1)
    item = (rng.integers(0, items // each, n * each) * each + np.tile(np.arange(each), n)).astype(np.int64)
    return oa.Candidates.from_arrays(
        np.arange(n + 1) * each, item, {"relevance": rng.random(n * each)}, items={"campaign": campaign}
    )


def main() -> None:
    small = market(2000, CANDIDATES)
    problem = oa.Problem(
        small, oa.total("relevance"), [(oa.exposure(by="campaign") <= 30.0).named("caps")], oa.Slate(10)
    )
    policy = oa.solve(problem, gap=1e-3).policy()
    plan = oa.Plan("campaign", 0.0, 1e5, caps=dict.fromkeys(range(55), 1e7))
    pacer = oa.Pacer(policy, plan)
    pacer.warmup()
    pacer.tick(0.0)
    hot, user = pacer.prepare(CANDIDATES, 10), pacer.user()
    plain = policy.prepare(CANDIDATES, 10)
    for one in (hot, plain):
        one.items[:], one.columns[0] = small.item[:CANDIDATES], small.columns["relevance"][:CANDIDATES]
    for name, call in (
        ("policy: select", lambda: plain.select(CANDIDATES, user)),
        ("pacer: select", lambda: hot.select(CANDIDATES, user)),
        ("pacer: select and observe", lambda: hot.observe(hot.select(CANDIDATES, user))),
    ):
        best = np.inf
        for _ in range(5):
            started = time.thread_time()
            for _ in range(CALLS):
                call()
            best = min(best, (time.thread_time() - started) / CALLS)
        print(f"{name:28s} {best * 1e6:6.2f} us")
    started = time.thread_time()
    for k in range(1, 500):
        pacer.observe({k % 55: 1.0})
        pacer.tick(float(k))
    print(f"{'tick of 55 goals':28s} {(time.thread_time() - started) / 500 * 1e6:6.0f} us")
    n = 60_000
    requests = oa.Requests(market(n, 50), np.arange(n) / n * 3600.0, 0.0, 3600.0)
    hour = oa.Plan("campaign", 0.0, 3600.0, caps=dict.fromkeys(range(55), n / 60.0))
    contenders, scenario = {"pacer": oa.Pacer(policy, hour)}, oa.Scenario(sync=60.0)
    # all that a contender costs: what is made once per call is for all contenders, so it is taken off
    thrice = dict.fromkeys(("a", "b", "c"), contenders["pacer"])
    kernel, whole, more = 0.0, np.inf, np.inf
    for _ in range(8):  # in turns, so that both meet a quiet moment
        started = time.process_time()
        done = oa.replay(requests, contenders, scenario=scenario, hindsight=None)
        whole = min(whole, time.process_time() - started)
        kernel = max(kernel, done.rows[0]["decisions per second"])
        started = time.process_time()
        oa.replay(requests, thrice, scenario=scenario, hindsight=None)
        more = min(more, time.process_time() - started)
    print(f"{'replay, 50 candidates':28s} {kernel:9,.0f} requests per second in the kernel, by the clock")
    per_contender = (more - whole) / (len(thrice) - 1)
    print(f"{'the same with metrics':28s} {n / per_contender:9,.0f} requests per second of the processor")
    print(f"{'and with what comes before':28s} {n / whole:9,.0f} of one contender alone")


if __name__ == "__main__":
    main()
