"""From a problem to slates, cell by cell: state it, solve it, serve it, ask it why.

Editors that know `# %%` show this file as a notebook; `python examples/problem_to_slates.py` runs all of it.
"""

# %% A month of promotions: who could be shown what, and what was promised
import tempfile
from pathlib import Path

import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import month

market = month(users=1_000, degree=40, campaigns=12)
problem = market.problem()
cands = problem.candidates
print(problem.candidates)

# %% Solve: an allocation, the prices of all that was promised, and a proof of how good it is
solution = oa.solve(problem, gap=1e-6)
print(solution)

# %% A policy: prices that serve. It gives the solver's own scores, bit for bit
policy = solution.policy(valid_for=3600.0)
served = policy.score_batch(cands.indptr, cands.item, cands.columns, users=np.arange(cands.n_users))
assert (served == solution.scores()).all()

# %% One request: candidates with their columns, and the user that they are for
user = 0
mine = slice(cands.indptr[user], cands.indptr[user + 1])
items = cands.item[mine]
columns = {name: column[mine] for name, column in cands.columns.items()}
boosts = policy.boosts(items, columns, user)  # what a host adds to its own ranking score
slate = policy.select(items, columns, user)  # or the slate itself
for position in slate[:5]:
    print(f"item {items[position]:4d}  relevance {columns['relevance'][position]:.3f}  boost {boosts[position]:+.3f}")

# %% Why these, and what would have changed it
print(policy.explain(items, columns, user)[int(slate[0])].sentence)

# %% Everybody's slates: those of the prices alone, and whole slates drawn with exactly the allocation's probabilities
drawn = solution.round(rng=0)
for name in solution.totals:
    promised, shown = solution.totals[name], drawn.totals[name]
    print(f"{name}: the plan {promised.sum():,.1f}, drawn {shown.sum():,.1f}")

# %% Into a service: one file, verified when it is loaded, swapped while requests come in
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "policy.safetensors"
    policy.save(path)
    with oa.PolicyStore(path) as store:
        assert (store.policy.score(items, columns, user) == policy.score(items, columns, user)).all()
        print(f"serving {store.policy.policy_id}, {path.stat().st_size / 1e3:,.0f} kB: {store.mode}")
