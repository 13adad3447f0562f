"""Where numba is told not to compile, kernels refuse to run, and functions of others do not."""

import re

import pytest
from kernel_project import Project

DISABLED = """
import numpy as np, oasis_alloc as oa
from oasis_alloc.commands.doctor import doctor
import argparse
print("doctor", doctor(argparse.Namespace(problem=None)))
try:
    candidates = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    print(oa.solve(oa.Problem(candidates, oa.total("r"))).value)
except oa.SolverError as error:
    print("refused:", error)
from oasis_alloc.kernels.serve import score
try:
    score.best()
except oa.SolverError as error:
    print("refused:", error)
"""


@pytest.mark.full
def test_without_the_compiler_kernels_refuse_and_say_why(project: Project) -> None:
    output, errors = project.start(DISABLED, NUMBA_DISABLE_JIT="1").communicate(timeout=60)
    assert re.search(r"^kernels +DO NOT RUN: NUMBA_DISABLE_JIT is set", output, re.MULTILINE), (output, errors)
    assert "doctor 4" in output
    assert output.count("refused: NUMBA_DISABLE_JIT is set, and kernels give correct answers only") == 2, errors


@pytest.mark.full
def test_one_kernel_can_be_stepped_through(project: Project) -> None:
    code = "from oasis_alloc.kernels.draw.sample import uniform; import numpy as np; print(uniform(np.uint64(1 << 63)))"
    asked = {"NUMBA_DISABLE_JIT": "1", "OASIS_ALLOC_PYTHON_KERNELS": "1"}
    output, errors = project.start(code, **asked).communicate(timeout=60)
    assert output.strip() == "0.5", errors


@pytest.mark.full
def test_functions_of_others_run_without_the_compiler(project: Project) -> None:
    code = "import numpy as np; from caller import total; print(float(total(np.ones(3), 3)))"
    output, errors = project.start(code, NUMBA_DISABLE_JIT="1").communicate(timeout=60)
    assert output.strip() == "6.0", errors
    assert project.entries() == []
