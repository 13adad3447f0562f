"""Errors in long expressions are short: the part that is wrong, and a caret under it."""

from __future__ import annotations

import pytest

from oasis_alloc.errors import ProblemError
from oasis_alloc.problem_file.expression import SourcePosition, evaluate

LONG_TEXTS = {
    "5,000 digits": ("exposure() <= " + "9" * 5_000, "a number has thousands of digits; write it with an exponent"),
    "3,000 parentheses": ("(" * 3_000 + "exposure()" + ")" * 3_000, "too many nested parentheses"),
    "a long name": ("exposure() <= x" + "y" * 5_000, "unknown name 'xyyy"),
    "a long function": ("x" + "y" * 5_000 + "(1)", "unknown function 'xyyy"),
    "a long text": ("exposure(by='" + "a" * 5_000 + "') <= unknown", "unknown name 'unknown'"),
    "a long text as a number": ("exposure() <= '" + "a" * 5_000 + "'", "is a text, not a measure or a number"),
    "hexadecimal digits": ("exposure() <= 0x" + "f" * 5_000, "too large; expected at most 1.8e308"),
    "many spaces": ("exposure() <= 1" + " " * 5_000 + "$", "invalid syntax"),
    "a long index": ("exposure()[" + "1+" * 100 + "1]", "an index cannot be used"),
}


@pytest.mark.parametrize(("text", "words"), LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_an_error_shows_the_part_of_a_long_expression_that_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ProblemError) as error:
        evaluate(text, {}, SourcePosition("p.toml", 3, "subject_to[0]"))
    message = str(error.value)
    assert words in message
    assert "set_int_max_str_digits" not in message
    assert len(message) < 700
    _, source, caret = message.split("\n")
    assert source.strip().strip(".") in text
    assert 4 <= caret.index("^") <= len(source)


def test_the_caret_is_under_the_error_in_a_part_of_a_line() -> None:
    text = "exposure() + " * 50 + "wrong + " + "exposure() + " * 50 + "exposure()"
    with pytest.raises(ProblemError, match="unknown name 'wrong'") as error:
        evaluate(text, {}, SourcePosition("p.toml", 3, "subject_to[0]"))
    _, source, caret = str(error.value).split("\n")
    assert source[caret.index("^") :].startswith("wrong + ")
