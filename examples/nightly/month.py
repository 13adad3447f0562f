"""A month of nights: tables, job, publication, and a host that follows; five of the nights go wrong.

    python examples/nightly/month.py --out nightly

Each night writes the tables of a day, runs `job.toml`, and lets a store check the manifest, as a host does. On day 9 a
table is late, on day 12 a label is misspelled, on day 15 the floors are infeasible, on day 20 the process is killed in
the middle of its run, on day 25 the policy is signed by a key that the host does not trust. Each of these nights ends
as docs/jobs.md says, the host goes on with the policy that it has, and the next night is an ordinary one again. The
program ends with an error if any night ends in another way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from day_tables import write_day

import oasis_alloc as oa

DAYS = range(1, 31)
EXPECTED = {9: "check failed", 12: "bad input", 15: "infeasible"}  # of other days: published
KILLED, SIGNED_BY_ANOTHER = 20, 25


def prepare(out: Path) -> None:
    """The job, and two pairs of keys: that of the radio, and another one."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("job.toml"), out / "job.toml")
    for name in ("radio", "another"):
        command = [sys.executable, "-m", "oasis_alloc", "keys", "new", str(out / name)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def killed_in_mid_run(job: Path, run: str) -> None:
    """Run the job in a process of its own, and kill it when it has solved."""
    command = [sys.executable, "-m", "oasis_alloc", "run", str(job), "--run", run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("solve"):
                process.kill()


def night(out: Path, day: int) -> oa.JobResult:
    """The tables of a day, and the run of the job."""
    run, job = f"2026-11-{day:02d}", out / "job.toml"
    floor = 290.0 if day == 15 else 40.0
    write_day(out / "tables", day, floor, misspelled=day == 12, late=day == 9)
    key = "another" if day == SIGNED_BY_ANOTHER else "radio"
    os.environ["RADIO_KEY"] = (out / f"{key}.key").read_text()
    if day == KILLED:
        killed_in_mid_run(job, run)
    return oa.run_job(job, run=run)


def main() -> int:
    """Play the days; the exit code is 1 if a night did not end as expected."""
    parser = argparse.ArgumentParser(description="A month of nightly jobs.")
    parser.add_argument("--out", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--days", type=int, nargs="*", default=list(DAYS), help="days of the month (default: all)")
    arguments = parser.parse_args()
    out: Path = arguments.out or Path(tempfile.mkdtemp(prefix="nightly-"))
    prepare(out)
    trust = oa.Trust(out / "radio.pub", name="radio", remember=out / "radio.version")
    store = oa.PolicyStore(out / "policies" / "manifest.json", refresh=None, trust=trust)
    wrong = 0
    served: str | None = None
    print("day  ended          code  version  served by the host  what happened")
    for day in arguments.days:
        begun = time.perf_counter()
        result = night(out, day)
        store.refresh()
        before, served = served, store.stats()["policy_id"]
        published = result.version is not None
        follows = published and day != SIGNED_BY_ANOTHER
        ends_well = result.status == EXPECTED.get(day, "published")
        right = ends_well and (served != before) == follows
        if day == SIGNED_BY_ANOTHER:
            note = f"refused by the host: {store.stats()['last_refused']['reason']}"
        elif day == KILLED:
            note = "killed after its solve; run again"
        else:
            note = "" if published else result.message[:70]
        number = "-" if result.version is None else str(result.version.version)
        print(
            f"{day:3d}  {result.status:13s}  {result.exit_code:4d}  {number:>7s}  {served}    {note}"
            f"{'' if right else '  UNEXPECTED'} ({time.perf_counter() - begun:.1f} s)"
        )
        wrong += not right
    print(f"{len(arguments.days) - wrong} of {len(arguments.days)} nights ended as expected; see {out}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
