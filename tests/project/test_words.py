"""Words that this project does not use, and what to write in their place.

``nox -s lint`` runs this file as a program, with the standard library alone; pytest runs the same check. Decision
records keep the words of their day.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXEMPT = {
    "docs/style.md": "shows the words",
    "pyproject.toml": "lists names of code for the spell checker",
    "tests/project/test_words.py": "lists the words",
}
FOLDERS = ("src", "tests", "docs", "examples", "benchmarks", ".github")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".java", ".cff"}

# pattern: what to write instead
BANNED = {
    "programmes?": "program",
    "(?:maxim|minim|optim|factor|general|vector|random|dual)is(?:e|ed|er|ers|es|ing|ation)": "-ize, -ization",
    "anew": "again, or a verb: regenerate, rebuild, recompute",
    "dear(?:er|est)?": "costly, slow, expensive",
    "whoever": "a role: the caller, a reader, the process",
    r"(?<!there\s)(?:is|are|was|were) (?-i:none)(?! of)": "what is wrong or absent: is not a policy, has no label",
    "at the most": "at most",
    r"(?:one (?:(?!for|of|in|per)\w+ )?|(?:bytes|numbers?|passes|seconds|[mun]s) )an? "
    "(?:user|item|pair|group|row|slot|solve|candidate|label|side|reason)": "one per user",
    "in vain": "unnecessarily, without effect",
    "who comes": "a role: the caller, a user, a request",
}
# The same for texts that a user of the package reads: messages, reports, the log, the page.
BANNED_IN_TEXTS = {
    "beside": "next to, compared with",
    "nobody": "no user, no other process",
    "told": "given, reported",
    "whom": "a second sentence",
    "stands?": "is",
    "speaks? of": "says, has",
    r"(?<!there\s)(?:is|are) no (?!longer|more|further|less)\w+": "is not a label",
    "has no form": "cannot be represented",
    "looks? at": "read, check, use",
    "an? (?:user|item|pair|group|slot|candidate|row) (?:once|twice)": "once per user",
}
GAP = r"""(?:\s|[#*/]|["']\s*f?["'])+"""  # words of one phrase may be on two lines, of a comment or of two strings
PATTERN = re.compile(
    r"(?<!\w)(?:" + "|".join(f"({pattern.replace(' ', GAP)})" for pattern in BANNED) + r")(?!\w)", re.IGNORECASE
)
ADVICE = list(BANNED.values())
IN_TEXTS = re.compile("|".join(rf"\b{pattern}\b" for pattern in BANNED_IN_TEXTS), re.IGNORECASE)
# Parsing takes most of the time, and few sources have such a word anywhere: in a string its parts may be apart, too.
APART = r"""(?:\s|\\|{\w*}|["']\s*[rf]*["'])+"""
ANYWHERE = re.compile("|".join(rf"\b{pattern.replace(' ', APART)}\b" for pattern in BANNED_IN_TEXTS), re.IGNORECASE)


def wrong_words(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, word, what to write instead) for every banned word in a text."""
    for found in PATTERN.finditer(text):
        assert found.lastindex
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), ADVICE[found.lastindex - 1]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string in Python source that is not a docstring, without inserted names."""
    tree, docs, strings = ast.parse(source), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # the docstring of a module, class or function, and of an attribute, too
            docs.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.append(node)
    for node in strings:
        if id(node) not in docs:
            yield node.lineno, re.sub(r"{\w*}", "", node.value)


def files() -> list[Path]:
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += (ROOT / folder).rglob("*")
    kept = [path for path in found if path.suffix in SUFFIXES and "decisions" not in path.parts]
    return sorted(path for path in kept if path.relative_to(ROOT).as_posix() not in EXEMPT)


def complaints(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    found = [f"{name}:{line}: {word!r}; write: {instead}" for line, word, instead in wrong_words(text)]
    if path.suffix == ".py" and name.startswith("src/") and ANYWHERE.search(text):
        for line, said in texts(text):
            for word in IN_TEXTS.finditer(said):
                advice = (to for what, to in BANNED_IN_TEXTS.items() if re.fullmatch(what, word[0], re.IGNORECASE))
                found.append(f"{name}:{line}: {word[0]!r} in a text; write: {next(advice)}")
    return found


def main() -> int:
    found = [complaint for path in files() for complaint in complaints(path)]
    print("\n".join([*found, f"{len(found)} banned words in {len(files())} files; docs/style.md says why"]))
    return 1 if found else 0


def test_no_banned_word_is_used() -> None:
    assert len(files()) > 300
    assert [complaint for path in files() for complaint in complaints(path)] == []


def test_banned_words_are_found_where_they_are() -> None:
    text = 'of a programme\n# which is\n# none, and dearer\nx = ("at the "\n     "most")\none a user; Whoever'
    assert [(line, word) for line, word, _ in wrong_words(text)] == [
        (1, "programme"), (2, "is # none"), (3, "dearer"), (4, 'at the " "most'), (6, "one a user"), (6, "Whoever"),
    ]  # fmt: skip
    assert [instead for *_, instead in wrong_words("Optimisation")] == ["-ize, -ization"]


def test_words_of_texts_are_found_in_strings_alone() -> None:
    source = '"""Nobody is told."""\nraise ValueError(f"{told} is no label beside {x}", "{whom}")  # nobody'
    said = [(line, word[0]) for line, text in texts(source) for word in IN_TEXTS.finditer(text)]
    assert said == [(2, "is no label"), (2, "beside")]
    for apart in (source, 'x = ("it is no "\n     f"label")', 'x = "{name} is {what}no label"'):
        assert ANYWHERE.search(apart), "what is found in a string is found in its source"


def test_what_is_meant_passes() -> None:
    text = "if x is None: an optimistic program; none is shown; there is none; it is none of these; one argument"
    assert list(wrong_words(text)) == []


if __name__ == "__main__":
    sys.exit(main())
