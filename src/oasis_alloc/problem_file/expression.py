"""Objectives and constraints written as text: parsed, checked node by node, never evaluated as Python.

Only numbers, texts, named limits, the package's own functions, `+ - * /`, `<= >= ==`, `.named("...")` and
`.delivered_so_far(...)` are allowed. Everything else is refused with its position, so a statement from another person
is safe to run.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import OasisAllocError, ProblemError
from oasis_alloc.statement.functions import Function
from oasis_alloc.statement.functions.alpha_fair import alpha_fair
from oasis_alloc.statement.functions.entropy import entropy
from oasis_alloc.statement.functions.gini_welfare import gini_welfare
from oasis_alloc.statement.functions.kl import kl
from oasis_alloc.statement.functions.log import log
from oasis_alloc.statement.functions.reach import reach
from oasis_alloc.statement.functions.soft import soft
from oasis_alloc.statement.functions.square_deviation import square_deviation
from oasis_alloc.statement.functions.worst_off import worst_off
from oasis_alloc.statement.measures import Measure, exposure, total
from oasis_alloc.statement.stay_close import stay_close

FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        exposure, total, soft, log, alpha_fair, entropy, kl, reach, worst_off, gini_welfare, square_deviation,
        stay_close,
    )
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.LtE: ("<=", operator.le),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.Lt: ("<", operator.lt),  # measures refuse these three with a reason
    ast.Gt: (">", operator.gt),
    ast.NotEq: ("!=", operator.ne),
}
_WORDS: dict[type[ast.AST], str] = {
    ast.Attribute: "an attribute",
    ast.Subscript: "an index",
    ast.Lambda: "a function of your own",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.BoolOp: "'and' or 'or'",
    ast.IfExp: "a condition",
    ast.JoinedStr: "a formatted text",
    ast.NamedExpr: "an assignment",
    ast.Starred: "a starred argument",
}
_SHOWN = 100  # characters of a line that an error shows
_LONGEST_MESSAGE = 1_000
_LONGEST = 10_000  # characters; deeper nesting than this allows would exhaust the stack


@dataclass(frozen=True)
class SourcePosition:
    """Where a text stands: the file, the line of its first character if known, and the name of its entry."""

    file: str
    line: int | None
    entry: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.line is None else f', line {self.line}'}: {self.entry}"


def evaluate(text: str, limits: Mapping[str, Any], place: SourcePosition) -> Any:
    """Build the measure, function or constraint that `text` states.

    `limits` are the names it may use besides the functions: numbers, and {label: number} tables.
    Raises `ProblemError` with the place, the line of the expression and a caret under the error.

    >>> evaluate('exposure(by="campaign") <= caps', {"caps": 3.0}, SourcePosition("p.toml", 1, "subject_to[0]"))
    exposure(by="campaign") <= 3
    """
    return _Reader(text, limits, place).read()


@dataclass
class _Reader:
    text: str
    limits: Mapping[str, Any]
    place: SourcePosition

    def __post_init__(self) -> None:
        self.functions = FUNCTIONS

    def read(self) -> Any:
        if not self.text.strip():
            raise ProblemError(f"{self.place}: the expression is empty.")
        if len(self.text) > _LONGEST:
            raise ProblemError(f"{self.place}: {len(self.text):,} characters; expected at most {_LONGEST:,}.")
        try:
            # in parentheses a line break needs no backslash
            tree = ast.parse(f"({self.text}\n)", mode="eval")
        except SyntaxError as error:
            wrong = "not an expression: " + error.msg.rstrip(".")
            if "set_int_max_str_digits" in error.msg:  # Python's advice is of no use in a file
                wrong = "a number has thousands of digits; write it with an exponent, such as 1e20"
            self._refuse(f"{wrong}.", error.lineno or 1, (error.offset or 1) - 1, error)
        except (ValueError, RecursionError, MemoryError) as error:
            raise ProblemError(f"{self.place}: the expression cannot be parsed: {error}.") from error
        try:
            return self.node(tree.body)
        except RecursionError as error:
            raise ProblemError(f"{self.place}: the expression is nested too deeply.") from error

    def node(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name():
                return self.name(node)
            case ast.Tuple() | ast.List():
                return tuple(self.node(entry) for entry in node.elts)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return self.combine(node, "*", operator.mul, sign, self.node(node.operand))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self.combine(node, *_ARITHMETIC[type(node.op)], self.node(node.left), self.node(node.right))
            case ast.Compare():
                return self.comparison(node)
            case ast.Call():
                return self.call(node)
            case _:
                what = _WORDS.get(type(node), shown(ast.get_source_segment(f"({self.text}", node) or "this"))
                self.refuse(
                    node,
                    f"{what} cannot be used in a statement. Allowed are numbers, names from [limits], "
                    f'{", ".join(self.functions)}, + - * /, <= >= ==, .named("...") and .delivered_so_far(...).',
                )

    def constant(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(node, f"{shown(value)} is not a number.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse(node, "the number is too large; expected at most 1.8e308.")
        return number

    def name(self, node: ast.Name) -> Any:
        if node.id in self.limits:
            return self.limits[node.id]
        if node.id in self.functions:
            self.refuse(node, f"{node.id} is a function: write {node.id}(...).")
        self.refuse(node, f"unknown name {shown(node.id)}.{did_you_mean(node.id, [*self.limits, *self.functions])}")

    def comparison(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            self.refuse(node, "a chain of comparisons is two constraints: write them as two entries.")
        if type(node.ops[0]) not in _COMPARISONS:
            self.refuse(node, "measures are compared with <=, >= or ==.")
        return self.combine(
            node, *_COMPARISONS[type(node.ops[0])], self.node(node.left), self.node(node.comparators[0])
        )

    def call(self, node: ast.Call) -> Any:
        function: Callable[..., Any]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "named":
            owner = self.node(node.func.value)
            if not isinstance(owner, Function):
                self.refuse(node, '.named("...") follows a constraint or a function, in parentheses.')
            function = owner.named
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "delivered_so_far":
            owner = self.node(node.func.value)
            if not isinstance(owner, Measure):
                self.refuse(node, ".delivered_so_far(...) follows a measure, such as exposure(...).")
            function = owner.delivered_so_far
        elif isinstance(node.func, ast.Name):
            if node.func.id not in self.functions:
                self.refuse(
                    node, f"unknown function {shown(node.func.id)}.{did_you_mean(node.func.id, self.functions)}"
                )
            function = self.functions[node.func.id]
        else:
            self.refuse(node, f"only these can be called: {', '.join(self.functions)}.")
        args = [self.node(argument) for argument in node.args]
        named = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self.refuse(keyword.value, "a starred argument cannot be used in a statement.")
            named[keyword.arg] = self.node(keyword.value)
        try:
            return function(*args, **named)
        except (OasisAllocError, TypeError, ValueError, ArithmeticError) as error:
            self.refuse(node, _cut(str(error)), error)

    def combine(self, node: ast.expr, sign: str, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        if sign in "*/" and isinstance(left, Mapping) and isinstance(right, float):  # 0.9 * caps: label by label
            return {label: self.combine(node, sign, function, value, right) for label, value in left.items()}
        if sign == "*" and isinstance(right, Mapping) and isinstance(left, float):
            return self.combine(node, sign, function, right, left)
        for side in (left, right):
            if isinstance(side, str | tuple):
                self.refuse(node, f"{shown(side)} is a text, not a measure or a number.")
        try:
            return function(left, right)
        except OasisAllocError as error:
            self.refuse(node, _cut(str(error)), error)
        except (TypeError, ValueError, ArithmeticError) as error:
            reason = "division by zero" if isinstance(error, ZeroDivisionError) else f"{sign} is not defined for them"
            self.refuse(node, f"cannot combine {_short(left)} {sign} {_short(right)}: {reason}.", error)

    def refuse(self, node: ast.expr, message: str, cause: Exception | None = None) -> NoReturn:
        source = f"({self.text}".split("\n")[node.lineno - 1]
        column = len(source.encode()[: node.col_offset].decode(errors="ignore"))  # ast counts bytes
        self._refuse(message, node.lineno, column, cause)

    def _refuse(self, message: str, line: int, column: int, cause: Exception | None) -> NoReturn:
        lines = self.text.split("\n")
        line = min(line, len(lines))
        if line == 1:
            column -= 1  # our opening parenthesis
        source, column = _around(lines[line - 1], max(0, column))
        caret = " " * column + "^"
        at = self.place.line
        place = SourcePosition(self.place.file, None if at is None else at + line - 1, self.place.entry)
        raise ProblemError(f"{place}: {message}\n    {source}\n    {caret}") from cause


def _around(source: str, column: int) -> tuple[str, int]:
    """The part of a long line that is around a column, and where the column is in it."""
    column = min(column, len(source))
    start = max(0, min(column - _SHOWN // 2, len(source) - _SHOWN))
    before, after = "..." if start else "", "..." if start + _SHOWN < len(source) else ""
    return before + source[start : start + _SHOWN] + after, column - start + len(before)


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "..."


def _short(value: Any) -> str:
    text = f"a table of {len(value)} labels" if isinstance(value, Mapping) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
