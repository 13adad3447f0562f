"""The matrix of the linear program over undecided pairs, from its blocks."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from oasis_alloc.solvers.restricted import _assembled, _diagonal, _entries


def test_blocks_are_where_scipy_puts_them() -> None:
    rng = np.random.default_rng(0)
    for n, m, k in ((3, 4, 2), (5, 3, 0), (1, 6, 6), (4, 0, 3)):
        one, other = (sp.csr_array(rng.integers(-2, 3, (n, width)).astype(float)) for width in (m, k))
        rows = np.flatnonzero(rng.random(n) < 0.6)
        found = _assembled(
            (n, rows.size),
            (m, k, n),
            [(0, 0, _entries(one), 1.0), (0, 2, _diagonal(n), -1.0), (1, 1, _entries(other, rows), -2.0)],
        )
        nothing = sp.csr_array((n, k)), sp.csr_array((rows.size, m)), sp.csr_array((rows.size, n))
        above = sp.hstack([one, nothing[0], -sp.eye_array(n)], format="csr")
        below = sp.hstack([nothing[1], -2.0 * other[rows], nothing[2]], format="csr")
        expected = sp.csc_array(sp.vstack([above, below], format="csr"))
        assert found.shape == expected.shape
        for part in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
