"""What pages show of a program's output, and how it is compared with what the program prints today.

python tests/support/printed.py                          # puts the output of today into the pages
python tests/support/printed.py docs/trade-offs.md       # into one page
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

from oasis_alloc.__main__ import main

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
TIMES = re.compile(r"\b\d[\d.,]*(?= (?:seconds|s|ms)\b)")
PROGRAM = re.compile(r"(?:pip|python|pytest|nox|java|javac|oasis-alloc|git|pre-commit)\s")
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")


@dataclass(frozen=True)
class Shown:
    """A block of output and the command that prints it; the page says both."""

    page: str
    command: str
    needs: tuple[str, ...] = ()
    """Files below the directory of the data sets."""
    first: str | None = None
    """How the first line begins of which the page shows as many as it has; else it shows the whole output."""

    def block(self) -> re.Match[str]:
        """The first block of output after the command."""
        text = self.path.read_text(encoding="utf-8")
        start = text.index(self.command)
        found = next((block for block in blocks(text) if block.start() > start), None)
        assert found is not None, f"{self.page} shows no output after {self.command!r}"
        return found

    @property
    def path(self) -> Path:
        return ROOT / self.page

    def of(self, printed: str) -> str:
        """The part of a program's output that the page shows."""
        lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
        if self.first is not None:
            start = next(k for k, line in enumerate(lines) if line.startswith(self.first))
            lines = lines[start : start + self.block()[2].count("\n")]
        return "\n".join(lines) + "\n"

    def write(self, printed: str) -> None:
        """Put the output of today into the page, unless nothing but times would change."""
        found = self.block()
        if not differences(found[2], self.of(printed)):
            return
        text = found.string[: found.start(2)] + self.of(printed) + found.string[found.end(2) :]
        self.path.write_text(text, encoding="utf-8")


def blocks(text: str) -> list[re.Match[str]]:
    """The blocks of output on a page; group 2 is the output."""
    return [block for block in FENCE.finditer(text) if block[1] in ("", "text", "console")]


def without_times(text: str) -> str:
    """The output with `#` for all that is a time: "2.2 seconds", "11.4 s", a last column with the head "seconds".

    >>> print(without_times("40.4 passes in 2.2 seconds\\n\\nrow  gap  seconds\\na    0.1     0.63\\n\\n1.5 s in all"))
    40.4 passes in # seconds
    <BLANKLINE>
    row  gap  seconds
    a    0.1 #
    <BLANKLINE>
    # s in all
    """
    lines, timed = [], False
    for line in text.splitlines():
        timed = timed and bool(line.strip())
        lines.append(re.sub(r"\s+\S+$", " #", line) if timed else TIMES.sub("#", line))
        timed = timed or line.endswith("  seconds")
    return "\n".join(lines)


def differences(shown: str, printed: str) -> list[str]:
    """A line for each line that differs in more than times and last digits.

    Last digits, and 1 % of a number, are let off: NumPy has other code for each processor, and with it come other
    roundings.

    >>> differences("passes 10 in 2 seconds", "passes 11 in 3 seconds")
    []
    >>> differences("passes 10", "passes 13")
    ["line 1: the page shows 'passes 10', the program prints 'passes 13'"]
    """
    old, new = without_times(shown).splitlines(), without_times(printed).splitlines()
    out = [
        f"line {k}: the page shows {a!r}, the program prints {b!r}"
        for k, (a, b) in enumerate(zip(old, new, strict=False), start=1)
        if not _alike(a, b)
    ]
    if len(old) != len(new):
        out.append(f"the page shows {len(old)} lines, the program prints {len(new)}")
    return out


def _alike(old: str, new: str) -> bool:
    words = [" ".join(NUMBER.sub("#", line).split()) for line in (old, new)]
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=False)
    return words[0] == words[1] and all(_near(a, b) for a, b in pairs)


def _near(old: str, new: str) -> bool:
    a, b = (float(text.replace(",", "")) for text in (old, new))
    if max(abs(a), abs(b)) < 1e-6:  # a gap of roundings alone
        return True
    return abs(a - b) <= max(2.0 * max(_last_digit(old), _last_digit(new)), 0.01 * abs(a)) * (1 + 1e-9)


def _last_digit(text: str) -> float:
    """What one more of the last digit is worth.

    >>> [_last_digit(text) for text in ("1,204", "0.25", "3.7e-05")]
    [1.0, 0.01, 1e-06]
    """
    digits, _, power = text.partition("e")
    return float(f"1e{int(power or 0) - len(digits.partition('.')[2])}")


def commands(text: str) -> Iterator[list[str]]:
    """The indented blocks of a page that begin with a command, without their comments.

    >>> list(commands("Run\\n\\n    nox -s gate   # a minute\\n    done\\n\\nand\\n\\n    x = 1\\n"))
    [['nox -s gate', 'done']]
    """
    for found in re.finditer(r"(?:^    \S.*\n)+", text, re.MULTILINE):
        lines = [line.partition(" #")[0].strip() for line in found[0].splitlines()]
        if PROGRAM.match(lines[0]):
            yield [line for line in lines if line]


TRADE_OFFS = Shown("docs/trade-offs.md", "python examples/trade_offs.py")
JAVA = Shown(
    "docs/snapshot.md",
    "java -cp examples/jvm-host/target/oasis-alloc.jar oasisalloc.Vectors tests/golden/columns.safetensors "
    "tests/golden/columns.json",
)
MISTAKE = Shown("docs/command-line.md", "oasis-alloc solve problem.toml")
SLOW = [
    Shown("README.md", "oasis-alloc demo", first="solved: "),
    Shown("docs/trade-offs.md", "oasis-alloc demo", first="what one more is worth"),
    Shown("docs/examples.md", "python examples/small_artists.py --out small_artists.png", ("lastfm-2k/plays.parquet",)),
    Shown(
        "docs/examples.md",
        "python examples/calibrated_genres.py --out calibrated_genres.png",
        ("movielens-small/events.parquet",),
    ),
    Shown("docs/examples.md", "python examples/paced_week.py", ("obd-men/events.parquet",)),
    Shown("docs/examples.md", "python examples/paced_films.py", ("movielens-small/events.parquet",)),
    Shown("docs/examples.md", "python examples/calibrated_films.py", ("movielens-small/events.parquet",)),
]
VERIFIED = [TRADE_OFFS, JAVA, MISTAKE, *SLOW]


def run(command: str, folder: Path) -> str:
    """What a command of a page prints in a folder; names of files of the repository are found."""
    program, *arguments = shlex.split(command)
    arguments = [str(ROOT / name) if (ROOT / name).is_file() else name for name in arguments]
    start = {"python": [sys.executable], "oasis-alloc": [sys.executable, "-m", "oasis_alloc"]}.get(program, [program])
    environment = os.environ | {"MPLBACKEND": "agg", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [*start, *arguments], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mistake(folder: Path) -> str:
    """What the command line says of the page's own statement, with a misspelled name, next to tables of a demo."""
    page = MISTAKE.path.read_text(encoding="utf-8")
    statement = re.search(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert statement is not None
    text = statement[1].replace("<= caps)", "<= capz)")
    assert text.count("capz") == 1
    program, *arguments = shlex.split(MISTAKE.command)
    assert program == "oasis-alloc"
    said = StringIO()
    with chdir(folder), redirect_stdout(StringIO()), redirect_stderr(said):  # a process each would take seconds
        assert main(["demo", "--users", "100", "--degree", "20", "--campaigns", "6", "--tables", "--out", "."]) == 0
        Path("problem.toml").write_text(text, encoding="utf-8")
        said.truncate(said.seek(0))
        assert main(arguments) == 2
    told = said.getvalue()
    return told[told.index("oasis-alloc:") :]  # after what a busy machine is told about reading the tables


@cache
def output(command: str) -> str:
    """What a command prints today, in an empty folder."""
    if command == JAVA.command:
        subprocess.run(["sh", str(ROOT / "examples" / "jvm-host" / "build.sh")], check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        return mistake(Path(folder)) if command == MISTAKE.command else run(command, Path(folder))


if __name__ == "__main__":
    for shown in VERIFIED:
        if not sys.argv[1:] or shown.page in sys.argv[1:]:
            shown.write(output(shown.command))
            print(f"{shown.page}: {shown.command}")
