"""What does promotion cost? A month's market, its report, and two sweeps: of a weight and of a guard."""

import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import month


def main() -> None:
    market = month(users=1_000, degree=40, campaigns=12)
    problem = market.problem()
    solution = oa.solve(problem, gap=1e-6)
    for one in solution.shadow_prices(limit=4):
        print(f"{one.price:8.3f}  {one.sentence}")

    print("\nmore weight on promotion: what is traded for what")
    print(oa.frontier(problem, vary="promotion", points=np.linspace(0.0, 0.5, 6)))

    print("\na tighter guard: the same relevance promised, and what it costs")
    guard = market.policy.organic * np.array([0.97, 0.978, 0.979, 0.98, 0.981, 0.99])
    print(oa.frontier(problem, vary="relevance guard", points=guard))


if __name__ == "__main__":
    main()
