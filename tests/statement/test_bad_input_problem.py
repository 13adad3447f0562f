"""Bad problems: what is wrong, which error, and the words that it must contain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import OasisAllocError, ProblemError, SolverError
from oasis_alloc.statement.measures import Measure, MeasureTerm

NAN, INF = float("nan"), float("inf")

# Three users, four items; market "us" and campaign 9 are nobody's but are there.
CANDIDATES = oa.Candidates.from_arrays(
    [0, 2, 2, 4],
    [2, 0, 0, 1],
    {"relevance": [0.5, 0.25, 1.0, 2.0], "promotion": [1, 0, 0, 1]},
    users={"market": ["se", "de", "se"]},
    items={"campaign": [7, 8, -1, 9], "artist": ["ann", "bo", "bo", None]},
)
# ann has items of both campaigns, and campaign 7 has items of both artists
CROSSING = oa.Candidates.from_arrays(
    [0, 3], [0, 1, 2], {"relevance": [1.0, 2.0, 3.0]}, items={"artist": ["ann", "ann", "bo"], "campaign": [7, 8, 7]}
)
SEVERAL = oa.Candidates.from_arrays([0, 1], [0], {"relevance": [1.0]}, items={"genre": [["pop", "rock"]]})
DAY = dt.date(2026, 1, 2)
DATED = oa.Candidates.from_arrays([0, 1], [0], {"relevance": [1.0]}, items={"day": [DAY]})
NAMED = oa.Candidates.from_arrays([0, 1], [0], {"relevance": [1.0]}, user_ids=["u1"], item_ids=["i1"])
E = oa.exposure


class Coordinates:
    """An array with labels of its own, as xarray has them."""

    coords = ("a", "b")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.ones(2)


REL = oa.total("relevance")


def problem(*constraints: Any, maximize: Any = REL, slate: Any = None, candidates: Any = CANDIDATES) -> oa.Problem:
    return oa.Problem(candidates, maximize, list(constraints), slate)


def supplied(supply: Any) -> oa.Problem:
    return oa.Problem(CANDIDATES, REL, supply=supply)


def solve(*constraints: Any, **options: Any) -> oa.Solution:
    return oa.solve(problem(*constraints), **options)


def start(prices: Any) -> oa.Solution:
    return solve((E("campaign") <= 1).named("caps"), (E("artist") >= 0).named("floors"), start=prices)


def sweep(vary: Any, points: Any = (1.0,), **options: Any) -> oa.Frontier:
    caps, some = (E("campaign") <= {8: 2}).named("caps"), (E() <= 2).named("some")
    floor, soft = (E() >= 0.5).named("least"), oa.soft(E("artist") <= 0, 1.0).named("none")
    objective = REL + 0.5 * oa.total("promotion") + oa.log(E("artist")) - 0.1 * oa.square_deviation(E(), 1).named("dev")
    return oa.frontier(problem(caps, some, floor, soft, maximize=objective), vary=vary, points=points, **options)


# what is wrong, how it comes about, the words between bars
TABLE: list[tuple[str, Callable[[], Any], str]] = [
    # measures
    (
        "column misspelt",
        lambda: problem(maximize=oa.total("relevence")),
        "(\"relevence\") | no column 'relevence' | Did you mean 'relevance'? | promotion",
    ),
    ("column misspelt in a constraint", lambda: problem(oa.total("promo") <= 1), "no column 'promo' | 'promotion'"),
    ("column in a soft constraint", lambda: problem(oa.soft(oa.total("promo") <= 1, 2)), "no column 'promo'"),
    ("column unlike any", lambda: problem(maximize=oa.total("zzz")), "no column 'zzz' | Known: relevance, promotion"),
    ("column not a name", lambda: oa.total(3), "name of a column | 3"),
    ("key misspelt", lambda: problem(E("campain") <= 1), "'campain' | Did you mean 'campaign'? | market"),
    ("one of two keys misspelt", lambda: problem(E(("market", "artists")) <= 1), "'artists' | Did you mean 'artist'?"),
    ("column as a key", lambda: problem(E("relevance") <= 1), "'relevance' is not a key"),
    ("key twice", lambda: E(("market", "market")), "names a key twice"),
    ("key not a name", lambda: E((1, 2)), "by= | names | (1, 2)"),
    ("constraints in a mapping", lambda: oa.Problem(CANDIDATES, REL, {"cap": E() <= 1}), "subject_to | dict | named("),
    ("constraints of a number", lambda: oa.Problem(CANDIDATES, REL, 3), "subject_to | int | list of constraints"),
    ("penalty True", lambda: oa.soft(E() <= 1, True), "penalty=True | positive finite"),
    ("offset True", lambda: oa.log(E(), True), "offset=True | finite"),
    ("alpha True", lambda: oa.alpha_fair(E(), True), "alpha=True | finite"),
    ("times True of reach", lambda: oa.reach(E(), True), "times=True | positive"),
    ("total True", lambda: oa.entropy(E(), True), "total=True | positive"),
    ("closeness True", lambda: oa.stay_close(solve(), True), "weight=True | positive"),
    ("delivered True", lambda: E().delivered_so_far(True), "True | a bool | number"),
    ("delivered a table", lambda: E("market").delivered_so_far(pd.DataFrame({"a": [1]})), "a DataFrame, a table"),
    (
        "delivered by an index of no labels",
        lambda: problem(E("artist").delivered_so_far(pd.Series([1.0])) <= 5),
        "no group 0",
    ),
    ("weights of texts that are numbers", lambda: oa.worst_off(E("artist"), ["1", "2"]), "entry 0 is '1' | numbers"),
    (
        "weights by an index of no labels",
        lambda: problem(maximize=oa.worst_off(E("artist"), pd.Series([1.0, 2.0]))),
        "no group 0",
    ),
    (
        "targets by an index of no labels",
        lambda: problem(maximize=-oa.kl(E("artist"), pd.Series([1.0, 2.0]))),
        "no group 0",
    ),
    (
        "ranks of a Series",
        lambda: oa.gini_welfare(E("artist"), pd.Series([2.0, 1.0])),
        "by rank, not by label | Series",
    ),
    ("strict <", lambda: E() < 1, "strict inequality | exposure() < | not closed | <="),
    ("strict >", lambda: E() > 1, "strict inequality | >="),
    (
        "strict, the number first",
        lambda: 1 < E(),  # noqa: SIM300
        "strict inequality | >=",
    ),
    ("not equal", lambda: E() != 1, "!= | not a convex constraint | =="),
    ("chain", lambda: 1 <= E() <= 2, "no truth value | two constraints"),
    ("chain in parentheses", lambda: (E() >= 1) <= 2, "exposure() >= 1 is a constraint already | two constraints"),
    ("chain to the right", lambda: (E() <= 2) >= 1, "exposure() <= 2 is a constraint already | `m >= lo`"),
    ("chain, strict", lambda: (E() <= 2) > 1, "exposure() <= 2 is a constraint already | `m >= lo`"),
    ("measure in an if", lambda: bool(E()), "no truth value"),
    ("and between constraints", lambda: (E() <= 1) and (E() >= 0), "no truth value | two constraints"),
    ("constant added", lambda: E() + 1, "constant 1 | exposure() | other side"),
    ("constant on the left", lambda: 1.5 + E(), "constant 1.5"),
    ("constant taken off", lambda: E() - Fraction(1, 2), "constant | 1"),
    ("times nan", lambda: E() * NAN, "multiply | nan | finite"),
    ("times infinity", lambda: INF * E(), "multiply | inf | finite"),
    ("divided by zero", lambda: E() / 0, "divide | exposure() | zero"),
    ("keys that do not nest", lambda: E("campaign") + E("market"), 'cannot add | exposure(by="market") | keys of one'),
    ("measure against other keys", lambda: E("campaign") <= E("market"), "cannot add | keys of one"),
    # what was delivered so far
    ("delivered negative", lambda: E().delivered_so_far(-1), "delivered_so_far(-1) | -1 is not | finite numbers >= 0"),
    ("delivered nan", lambda: E().delivered_so_far(NAN), "exposure() | nan is not | finite numbers >= 0"),
    ("delivered infinite", lambda: E("artist").delivered_so_far([1, INF]), "artist | inf at entry 1 | finite"),
    ("delivered negative by label", lambda: E("artist").delivered_so_far({"bo": -2}), "-2 of group 'bo' | >= 0"),
    ("delivered None by label", lambda: E("artist").delivered_so_far({"bo": None}), "nan of group 'bo' | finite"),
    ("delivered None", lambda: E().delivered_so_far(None), "None is not a delivered | {label: number} | 0 where"),
    ("delivered NA", lambda: E().delivered_so_far(pd.NA), "<NA> is not a delivered | a number | finite and >= 0"),
    ("delivered nothing by label", lambda: E("artist").delivered_so_far({"bo": NAN}), "'bo' | say 0, or leave"),
    ("delivered a text", lambda: E().delivered_so_far("much"), "'much' | a number | {label: number}"),
    ("delivered in 2-d", lambda: E("artist").delivered_so_far([[1, 2]]), "shape (1, 2) | (n_groups,)"),
    (
        "delivered too short",
        lambda: problem(E("campaign").delivered_so_far([1, 2]) <= 5),
        "delivered(array of 2) | array has 2 entries | (n_groups,) = (3,)",
    ),
    (
        "delivered by an unknown label",
        lambda: problem(E("artist").delivered_so_far({"anne": 1}) <= 5),
        "delivered({'anne': 1}) | no group 'anne' | Did you mean 'ann'?",
    ),
    (
        "delivered by other keys",
        lambda: E("campaign").delivered_so_far(1) - E(("campaign", "market")),
        "cannot add delivered(1) by ('campaign',) | ('campaign', 'market') | same order | Add the measures first",
    ),
    ("delivered in the objective", lambda: problem(maximize=REL.delivered_so_far(3)), "maximize | delivered(3) | Drop"),
    # limits
    ("nan limit", lambda: E() <= NAN, "exposure() <= | nan | not NaN"),
    ("nan in an array", lambda: E("campaign") <= [1, NAN, 2], "nan | not NaN"),
    ("nan in a mapping", lambda: E("campaign") <= {7: NAN}, "limit of 7 is nan | not NaN | None"),
    ("text in a mapping", lambda: E("campaign") <= {7: "10"}, "limit of 7 | '10' | a str | expected numbers"),
    ("text as a limit", lambda: E() <= "two", "'two' | number | label"),
    ("a text that is a number as a limit", lambda: E() <= "5", "exposure() <= | '5' | a str | number"),
    ("True as a limit", lambda: E() <= True, "exposure() <= | True | a bool | number"),
    ("True in a list", lambda: E("campaign") <= [True, 1, 2], "entry 0 is True | a bool | numbers"),
    ("text in a list", lambda: E("campaign") <= ["5", 1, 2], "entry 0 is '5' | numbers"),
    ("booleans in an array", lambda: E("market") <= np.array([True, False]), "entry 0 is True | numbers"),
    ("dates as limits", lambda: E("market") <= np.zeros(2, "M8[D]"), "entry 0 is | date | numbers"),
    ("complex", lambda: E("market") <= np.zeros(2, complex), "entry 0 is 0j | numbers"),
    ("masked limits", lambda: E("market") <= np.ma.masked_array([1, 2], [0, 1]), "entry 1 is masked | {label: number}"),
    ("True in a mapping", lambda: E("campaign") <= {7: True}, "limit of 7 is True | a bool | numbers"),
    ("list in a mapping", lambda: E("campaign") <= {7: [1]}, "limit of 7 is [1] | numbers"),
    ("a set of limits", lambda: E("campaign") <= {1, 2, 3}, "a set | {label: number}"),
    ("a table as limits", lambda: E("market") <= pd.DataFrame({"cap": [1, 2]}), "a DataFrame, a table | set_index"),
    ("another table as limits", lambda: E("market") <= pl.DataFrame({"cap": [1, 2]}), "a DataFrame, a table"),
    ("a third table as limits", lambda: E("market") <= pa.table({"cap": [1, 2]}), "a Table, a table"),
    ("an array with coordinates", lambda: E("market") <= Coordinates(), "Coordinates with coordinates | to_series()"),
    ("a Series of no labels", lambda: problem(E("artist") <= pd.Series([1.0, 2.0])), "no group 0 | Known: ann, bo"),
    (
        "a Series with a label misspelt",
        lambda: problem(E("artist") <= pd.Series({"anne": 1.0, "bo": 2.0})),
        "no group 'anne' | Did you mean 'ann'?",
    ),
    (
        "a Series with a label twice",
        lambda: E("artist") <= pd.Series([1.0, 2.0], index=["bo", "bo"]),
        "'bo' appears twice in the index | once",
    ),
    ("a label of two types", lambda: problem(E("day") <= {DAY: 1, str(DAY): 2}, candidates=DATED), "named twice"),
    (
        "keys in another order",
        lambda: problem(E(("market", "artist")) <= {("ann", "se"): 1}),
        "no group ('ann', 'se') | Did you mean ('se', 'ann')? | order of the keys",
    ),
    (
        "one of two labels misspelt",
        lambda: problem(E(("market", "artist")) <= {("se", "anne"): 1}),
        "No group has 'anne' there. Did you mean 'ann'?",
    ),
    ("labels of too few keys", lambda: problem(E(("market", "artist")) <= {("se",): 1}), "labels of 2 keys"),
    ("key of a number", lambda: E(3), "by= | 3"),
    ("keys in a set", lambda: E({"market"}), "by= | {'market'}"),
    ("times True", lambda: True * E(), "True, a boolean | exposure()"),
    ("function times True", lambda: oa.log(E()) * True, "True, a boolean | log("),
    ("objective times True", lambda: (REL + oa.log(E())) * True, "True, a boolean"),
    ("times a Series", lambda: pd.Series([1.0, 2.0]) * E("market"), "by a Series | limits"),
    ("times an array", lambda: np.ones(2) * E("market"), "by a ndarray | limits"),
    ("None as a limit", lambda: E() >= None, "exposure() >= | NaN"),
    ("2-d limit", lambda: E("campaign") <= np.ones((3, 1)), "shape (3, 1) | (n_groups,)"),
    ("ragged limit", lambda: E("campaign") <= [[1], [1, 2]], "limit | one number per group"),
    ("too short", lambda: problem(E("campaign") <= [1, 2]), "limit has 2 entries | (n_groups,) = (3,) | sorted"),
    ("too long", lambda: problem(E("market") >= [1, 2, 3]), "limit has 3 entries | (2,)"),
    ("array for a scalar", lambda: problem(E() <= [1, 2]), "limit has 2 entries | (1,)"),
    ("unknown label", lambda: problem(E("artist") <= {"anne": 1}), "no group 'anne' | Did you mean 'ann'? | bo"),
    (
        "label of another type",
        lambda: problem(E("campaign") <= {"7": 1}),
        "no group '7' | Did you mean 7? | of kind string, the labels of kind number",
    ),
    ("unknown pair", lambda: problem(E(("market", "artist")) <= {("de", "ann"): 1}), "no group ('de', 'ann')"),
    ("infinite floor", lambda: problem(E("campaign") >= {8: INF}), "group 8 | inf | no total can satisfy it"),
    ("cap of minus infinity", lambda: problem(E() <= -INF), "-inf | no total can satisfy it"),
    ("infinite equality", lambda: problem(E() == INF), "inf | no total can satisfy it"),
    (
        "negative cap",
        lambda: problem((E("campaign") <= {8: -2}).named("caps")),
        "caps | negative cap -2 | group 8 | Use 0",
    ),
    ("negative equality", lambda: problem(E() == -1), "negative cap -1"),
    ("negative cap of a multiple", lambda: problem(2 * E("market") <= -1), "negative cap -1 | 'de'"),
    ("negative soft cap", lambda: problem(oa.soft(E("campaign") <= -1, 2)), "negative cap -1"),
    (
        "floor above cap",
        lambda: problem((E("campaign") >= [0, 3, 0]).named("floors"), (E("campaign") <= 2).named("caps")),
        "floors | at least 3 | group 8 | caps | at most 2 | floor above its cap",
    ),
    (
        "floor above cap, two groups",
        lambda: problem(E("artist") >= 3, E("artist") <= 2),
        "floor above its cap | 2 such groups",
    ),
    ("equality above cap", lambda: problem(REL == 3, REL <= 2), "floor above its cap"),
    ("two equalities", lambda: problem(E() == 1, E() == 2), "floor above its cap"),
    # constraints, objective, slate
    ("not a constraint", lambda: problem(E()), "subject_to | exposure() | not a constraint"),
    ("a truth value", lambda: problem(True), "subject_to | True | not a constraint"),
    ("empty name", lambda: (E() <= 1).named(""), "name | non-empty"),
    ("name not a text", lambda: (E() <= 1).named(3), "name | 3"),
    (
        "a name twice",
        lambda: problem((E() <= 1).named("cap"), (REL <= 1).named("cap")),
        "two constraints are named 'cap'",
    ),
    (
        "a name twice, one soft",
        lambda: problem((E() <= 1).named("cap"), oa.soft(REL <= 1, 1).named("cap")),
        "named 'cap'",
    ),
    ("name of a text", lambda: oa.soft(E() <= 1, 1).named(""), "name | non-empty"),
    ("soft without a constraint", lambda: oa.soft(E(), 1), "soft() takes a constraint | exposure()"),
    ("soft of soft", lambda: oa.soft(oa.soft(E() <= 1, 1), 1), "soft() takes a constraint"),
    ("penalty 0", lambda: oa.soft(E() <= 1, 0), "penalty=0 | positive finite"),
    ("penalty negative", lambda: oa.soft(E() <= 1, -2.0), "penalty=-2.0 | positive finite"),
    ("penalty nan", lambda: oa.soft(E() <= 1, NAN), "penalty=nan | positive finite"),
    ("penalty infinite", lambda: oa.soft(E() <= 1, INF), "penalty=inf | positive finite"),
    ("penalty a text", lambda: oa.soft(E() <= 1, "high"), "penalty='high' | positive finite"),
    ("penalty a list", lambda: oa.soft(E("artist") <= 1, [1, 2]), "penalty=[1, 2] | positive finite"),
    (
        "maximize by groups",
        lambda: problem(maximize=oa.total("relevance", by="artist")),
        "maximize | one total per group of ('artist',) | Drop by=",
    ),
    ("maximize a constraint", lambda: problem(maximize=E() <= 1), "maximize | exposure() <= 1 | subject_to"),
    ("maximize a number", lambda: problem(maximize=3.0), "maximize | 3.0 | total("),
    ("maximize nothing", lambda: problem(maximize=None), "maximize | None"),
    ("candidates of another kind", lambda: problem(candidates={"a": 1}), "candidates | oa.Candidates | dict"),
    ("slate a number", lambda: problem(slate=3), "slate | oa.Slate | 3"),
    ("slate of 0", lambda: oa.Slate(0), "size=0 | whole number | at least 1"),
    ("factors that overflow", lambda: oa.total("relevance") * 1e308 * 1e308, '("relevance") is inf | finite'),
    ("a sum that overflows", lambda: 1.7e308 * oa.exposure() + 1.7e308 * oa.exposure(), "exposure() is inf | finite"),
    ("slate negative", lambda: oa.Slate(-1), "size=-1 | at least 1"),
    ("slate of a half", lambda: oa.Slate(2.5), "size=2.5 | whole number"),
    ("slate of 2.0", lambda: oa.Slate(2.0), "size=2.0 | whole number"),
    ("slate True", lambda: oa.Slate(True), "size=True | whole number"),
    ("slate text", lambda: oa.Slate("3"), "size='3' | whole number"),
    ("slate None", lambda: oa.Slate(None), "size=None | whole number"),
    ("rules not a mapping", lambda: oa.Slate(2, ["artist"]), "at_most=['artist'] | {key of the items: number}"),
    ("rule of a number", lambda: oa.Slate(2, {3: 1}), "at_most | 3 is not the name of a key"),
    ("rule of 0", lambda: oa.Slate(2, {"artist": 0}), "{'artist': 0} | whole number of items | at least 1"),
    ("rule of a half", lambda: oa.Slate(2, {"artist": 1.5}), "{'artist': 1.5} | whole number"),
    ("rule of 2.0", lambda: oa.Slate(2, {"artist": 2.0}), "{'artist': 2.0} | whole number"),
    ("rule of True", lambda: oa.Slate(2, {"artist": True}), "{'artist': True} | whole number"),
    ("rule of None", lambda: oa.Slate(2, {"artist": None}), "{'artist': None} | whole number"),
    (
        "rule of an unknown key",
        lambda: problem(slate=oa.Slate(2, {"artists": 1})),
        "Slate(size=2, at_most={'artists': 1}) | items have no key 'artists' | Did you mean 'artist'? | campaign",
    ),
    ("rule of a key of users", lambda: problem(slate=oa.Slate(2, {"market": 1})), "items have no key 'market'"),
    ("rule of a column", lambda: problem(slate=oa.Slate(2, {"relevance": 1})), "items have no key 'relevance'"),
    # slates of every kind
    ("sizes of floats", lambda: oa.Slate(np.array([1.0, 2.0])), "Slate(size=...) | whole | (n_users,) | float64"),
    ("sizes of halves", lambda: oa.Slate([1, 2.5]), "Slate(size=...) | whole numbers | float64"),
    ("sizes negative", lambda: oa.Slate([1, -2, 0]), "Slate(size=...) | user 1 has -2 | >= 0"),
    ("sizes in 2-d", lambda: oa.Slate([[1, 2]]), "Slate(size=...) | shape (1, 2)"),
    ("sizes of texts", lambda: oa.Slate(["1", "2"]), "Slate(size=...) | whole numbers"),
    ("sizes of truth values", lambda: oa.Slate([True, False]), "Slate(size=...) | bool"),
    ("too few sizes", lambda: problem(slate=oa.Slate([1, 2])), "Slate(size=...) | 2 entries | 3 (n_users)"),
    ("steps not a mapping", lambda: oa.Slate(2, diminishing=0.1), "diminishing=0.1 | {key of the items: step}"),
    ("step of a number", lambda: oa.Slate(2, diminishing={3: 0.1}), "diminishing | 3 is not the name of a key"),
    (
        "step negative",
        lambda: oa.Slate(2, diminishing={"artist": -0.1}),
        "'artist' | step is -0.1 | finite number >= 0",
    ),
    ("step nan", lambda: oa.Slate(2, diminishing={"artist": NAN}), "'artist' | step is nan | finite"),
    ("step infinite", lambda: oa.Slate(2, diminishing={"artist": INF}), "'artist' | step is inf | finite"),
    ("step a text", lambda: oa.Slate(2, diminishing={"artist": "much"}), "'artist' | 'much' | array of numbers"),
    ("step None", lambda: oa.Slate(2, diminishing={"artist": None}), "'artist' | finite decrements >= 0"),
    ("steps that fall", lambda: oa.Slate(3, diminishing={"artist": [0, 0.5, 0.25]}), "decrement 2 is 0.25 | (0.5)"),
    ("steps with nan", lambda: oa.Slate(3, diminishing={"artist": [0, NAN]}), "'artist' | finite decrements"),
    ("steps negative", lambda: oa.Slate(3, diminishing={"artist": [-1, 0]}), "'artist' | finite decrements >= 0"),
    ("no steps", lambda: oa.Slate(3, diminishing={"artist": []}), "'artist' | list of finite decrements"),
    (
        "steps of an unknown key",
        lambda: problem(slate=oa.Slate(2, diminishing={"artists": 0.1})),
        "diminishing={'artists': 0.1} | no key 'artists' | Did you mean 'artist'?",
    ),
    ("steps of a key of users", lambda: problem(slate=oa.Slate(2, diminishing={"market": 1})), "no key 'market'"),
    ("keep not a mapping", lambda: oa.Slate(2, keep="relevance"), "keep='relevance' | {column: share}"),
    ("keep more than all", lambda: oa.Slate(2, keep={"relevance": 1.5}), "{'relevance': 1.5} | from 0 to 1"),
    ("keep less than nothing", lambda: oa.Slate(2, keep={"relevance": -0.1}), "{'relevance': -0.1} | from 0 to 1"),
    ("keep nan", lambda: oa.Slate(2, keep={"relevance": NAN}), "{'relevance': nan} | from 0 to 1"),
    ("keep True", lambda: oa.Slate(2, keep={"relevance": True}), "{'relevance': True} | from 0 to 1"),
    ("keep a text", lambda: oa.Slate(2, keep={"relevance": "most"}), "{'relevance': 'most'} | from 0 to 1"),
    ("keep two columns", lambda: oa.Slate(2, keep={"relevance": 0.5, "promotion": 0.5}), "one column | blend"),
    (
        "keep an unknown column",
        lambda: problem(slate=oa.Slate(2, keep={"relevence": 0.5})),
        "keep={'relevence': 0.5} | no column 'relevence' | Did you mean 'relevance'?",
    ),
    ("at least a half", lambda: oa.Slate(2, at_least=0.5), "at_least=0.5 | whole number of slots | at least 0"),
    ("at least a negative", lambda: oa.Slate(2, at_least=-1), "at_least=-1 | at least 0"),
    ("at least more than the size", lambda: oa.Slate(2, at_least=3), "at_least=3 | more slots than size has"),
    ("at least more than a user's", lambda: oa.Slate([2, 1], at_least=[1, 2]), "at_least | more slots than size has"),
    ("at least, negative by user", lambda: oa.Slate(2, at_least=[0, -1]), "Slate(at_least=...) | user 1 has -1"),
    ("at least, of floats", lambda: oa.Slate(2, at_least=np.ones(3)), "Slate(at_least=...) | float64"),
    (
        "at least, too few",
        lambda: problem(slate=oa.Slate(2, at_least=[1, 1])),
        "Slate(at_least=...) | 2 entries | 3 (n_users)",
    ),
    (
        "at least and of other users than sizes",
        lambda: problem(slate=oa.Slate([1, 1, 1], at_least=[1, 1])),
        "Slate(at_least=...) | 2 entries | 3 (n_users)",
    ),
    (
        "at least under rules that cross",
        lambda: oa.solve(problem(slate=oa.Slate(2, {"artist": 1, "campaign": 1}, at_least=1), candidates=CROSSING)),
        "at_most={'artist': 1, 'campaign': 1} | at_least | nest | cross | Leave out at_least",
    ),
    (
        "at least under a rule of several labels",
        lambda: oa.solve(problem(slate=oa.Slate(2, {"genre": 1}, at_least=1), candidates=SEVERAL)),
        "at_most={'genre': 1} | at_least | items have several",
    ),
    ("slot weights too few", lambda: oa.Slate(3, slot_weights=[1, 0.5]), "slot_weights | (2,) | (3,), one number"),
    ("slot weights too many", lambda: oa.Slate(1, slot_weights=[1, 0.5]), "slot_weights | shape (2,) | (1,)"),
    ("slot weights fewer than sizes", lambda: oa.Slate([1, 3], slot_weights=[1, 0.5]), "slot_weights | (2,) | (3,)"),
    ("slot weights that rise", lambda: oa.Slate(3, slot_weights=[1, 0.5, 0.6]), "slot 2 has | 0.6 | slot 1 (0.5)"),
    ("slot weight of 0", lambda: oa.Slate(2, slot_weights=[1, 0]), "slot 1 has the weight 0 | (0, 1]"),
    ("slot weight above 1", lambda: oa.Slate(2, slot_weights=[1.5, 1]), "slot 0 has the weight 1.5 | (0, 1]"),
    ("slot weight nan", lambda: oa.Slate(2, slot_weights=[1, NAN]), "slot 1 has the weight nan | (0, 1]"),
    ("slot weights of texts", lambda: oa.Slate(2, slot_weights=["a", "b"]), "slot_weights=['a', 'b'] | numbers"),
    ("slot weights a number", lambda: oa.Slate(2, slot_weights=0.5), "slot_weights | shape () | (2,)"),
    # by user
    (
        "sizes by an index of no ids",
        lambda: problem(slate=oa.Slate(pd.Series([1, 2], [7, 8])), candidates=NAMED),
        "Slate(size=...) | user 'u1' has no number | has numbers for 7",
    ),
    ("sizes of an unknown column", lambda: problem(slate=oa.Slate("markets")), "no column 'markets' | 'market'?"),
    (
        "sizes of a column of texts",
        lambda: problem(slate=oa.Slate("market")),
        "Slate(size= | users['market'] | 'se'",
    ),
    ("sizes of a user too few", lambda: problem(slate=oa.Slate({0: 1, 2: 1})), "user 1 has no number | every user"),
    ("sizes by id of a half", lambda: problem(slate=oa.Slate({0: 1, 1: 1.5, 2: 1})), "user 1 has 1.5 | whole"),
    ("sizes by id of a text", lambda: problem(slate=oa.Slate({0: 1, 1: "1", 2: 1})), "user 1 has '1' | a number"),
    ("sizes by id of None", lambda: problem(slate=oa.Slate({0: 1, 1: None, 2: 1})), "user 1 has None | a number"),
    ("sizes in a table", lambda: oa.Slate(pd.DataFrame({"slots": [1, 2]})), "Slate(size=...) | a DataFrame, a table"),
    ("at_least by id, negative", lambda: problem(slate=oa.Slate(3, at_least={0: 1, 1: -1, 2: 1})), "user 1 has -1"),
    ("at_least by id above the size", lambda: problem(slate=oa.Slate(1, at_least={0: 1, 1: 2, 2: 1})), "more slots"),
    ("steps by label", lambda: oa.Slate(2, diminishing={"artist": pd.Series({"a": 0.1})}), "by place | to_numpy()"),
    ("step True", lambda: oa.Slate(2, diminishing={"artist": True}), "'artist' | True | number"),
    ("step of a text", lambda: oa.Slate(2, diminishing={"artist": "0.1"}), "'artist' | '0.1' | number"),
    ("slot weights True", lambda: oa.Slate(1, slot_weights=[True]), "slot_weights | numbers, one per slot | True"),
    ("rules by a Series of texts", lambda: oa.Slate(2, at_most=pd.Series({"artist": "2"})), "at_most | whole number"),
    ("supply of texts that are numbers", lambda: supplied(["1", "2", "3"]), "supply | entry 0 is '1'"),
    ("supply a text that is a number", lambda: supplied("2"), "supply | names a column of users"),
    ("supply True", lambda: supplied(True), "supply | True | positive"),
    ("supply by an index of no ids", lambda: supplied(pd.Series([1.0], ["u"])), "supply | user 0 has no number | 'u'"),
    ("supply by id of 0", lambda: supplied({0: 1, 1: 0, 2: 1}), "supply: user 1 has the weight 0"),
    ("supply by no id", lambda: supplied({}), "supply: user 0 has no number | the mapping is empty"),
    (
        "supply by ids that are not there",
        lambda: supplied({"zoe": 1, 7: 1, 8: 1, 9: 1}),
        "it has numbers for 'zoe', 7, 8, ... (4 in all), and no user has these ids",
    ),
    ("supply without some users", lambda: supplied({0: 1.0}), "supply: user 1 has no number | for 1 of the users"),
    ("supply in a table", lambda: supplied(pd.DataFrame({"w": [1, 2, 3]})), "supply | a DataFrame, a table"),
    ("supply of an unknown column", lambda: supplied("wieght"), "supply | no column 'wieght' | market"),
    # supply
    ("supply too short", lambda: supplied([1.0, 2.0]), "supply | shape (2,) | (n_users,) = (3,)"),
    ("supply a number", lambda: supplied(2.0), "supply | shape () | (n_users,) = (3,)"),
    ("supply of 0", lambda: supplied([1, 0, 1]), "supply | user 1 has the weight 0 | positive | slate of size 0"),
    ("supply negative", lambda: supplied([1, 1, -1]), "supply | user 2 has the weight -1 | 1 of 3 users"),
    ("supply nan", lambda: supplied([NAN, 1, NAN]), "supply | user 0 has the weight nan | 2 of 3 users"),
    ("supply infinite", lambda: supplied([1, INF, 1]), "supply | user 1 has the weight inf | positive finite"),
    ("supply of texts", lambda: supplied(["a", "b", "c"]), "supply | (n_users,) = (3,) | positive numbers"),
    ("key of several labels misspelt", lambda: problem(E("genres") <= 1, candidates=SEVERAL), "Did you mean 'genre'?"),
    (
        "limits that do not fit a key of several labels",
        lambda: problem(E("genre") <= [1.0, 2.0, 3.0], candidates=SEVERAL),
        'exposure(by="genre") | 3 | 2',
    ),
    (
        "unknown part",
        lambda: problem().replace(slates=oa.Slate(1)),
        "no part 'slates' | Did you mean 'slate'? | subject_to",
    ),
    ("replaced by nonsense", lambda: problem().replace(slate=7), "slate | 7"),
    (
        "labels of no constraint",
        lambda: problem((E() <= 1).named("caps")).labels("cap"),
        "'cap' | Did you mean 'caps'?",
    ),
    # functions
    ("log without a measure", lambda: oa.log(3), "log() takes a measure | 3"),
    ("log of a constraint", lambda: oa.log(E() <= 1), "log() takes a measure | exposure() <= 1"),
    ("log of an objective", lambda: oa.log(REL + oa.log(E())), "log() takes a measure"),
    ("offset negative", lambda: oa.log(E(), offset=-1), "log(exposure(), offset=-1) | finite number >= 0"),
    ("offset nan", lambda: oa.log(E(), NAN), "offset=nan | finite"),
    ("offset infinite", lambda: oa.log(E(), INF), "offset=inf | finite"),
    ("offset a text", lambda: oa.log(E(), "1"), "offset='1' | finite"),
    ("alpha negative", lambda: oa.alpha_fair(E(), -0.5), "alpha_fair(exposure(), alpha=-0.5) | finite number >= 0"),
    ("alpha nan", lambda: oa.alpha_fair(E(), NAN), "alpha=nan | finite"),
    ("alpha infinite", lambda: oa.alpha_fair(E(), INF), "alpha=inf | finite"),
    ("alpha a list", lambda: oa.alpha_fair(E("artist"), [1, 2]), "alpha=[1, 2] | finite"),
    ("offset of alpha_fair", lambda: oa.alpha_fair(E(), 2, -1e-9), "offset=-1e-09 | >= 0"),
    ("alpha_fair without a measure", lambda: oa.alpha_fair("artist", 2), "alpha_fair() takes a measure | 'artist'"),
    ("square_deviation without a measure", lambda: oa.square_deviation(1, 2), "square_deviation() takes a measure | 1"),
    ("target nan", lambda: oa.square_deviation(E(), NAN), "square_deviation(exposure() | finite numbers"),
    ("target nan in an array", lambda: oa.square_deviation(E("artist"), [1, NAN]), "artist | finite numbers"),
    ("target nan in a mapping", lambda: oa.square_deviation(E("artist"), {"ann": NAN}), "artist | finite numbers"),
    ("target None in a mapping", lambda: oa.square_deviation(E("artist"), {"ann": None}), "finite numbers"),
    ("target infinite", lambda: oa.square_deviation(E(), INF), "finite numbers"),
    ("target a text", lambda: oa.square_deviation(E(), "ten"), "'ten' | target is a number | {label: number}"),
    ("target in 2-d", lambda: oa.square_deviation(E("artist"), [[1, 2]]), "finite numbers, one per group"),
    (
        "target of an unknown label",
        lambda: problem(maximize=REL - oa.square_deviation(E("artist"), {"ann": 1, "bob": 2})),
        "square_deviation | no group 'bob' | Did you mean 'bo'?",
    ),
    (
        "a label without a target",
        lambda: problem(maximize=REL - oa.square_deviation(E("campaign"), {7: 1, 9: 2})),
        "square_deviation | group 8 has no target | every group",
    ),
    (
        "targets too short",
        lambda: problem(maximize=REL - oa.square_deviation(E("campaign"), [1, 2])),
        "square_deviation | 2 entries | (n_groups,) = (3,) | sorted",
    ),
    ("entropy without a measure", lambda: oa.entropy(3), "entropy() takes a measure | 3"),
    ("entropy of a constraint", lambda: oa.entropy(E() <= 1), "entropy() takes a measure | exposure() <= 1"),
    ("total 0", lambda: oa.entropy(E(), 0), "entropy(exposure(), total=0) | positive finite | slots"),
    ("total negative", lambda: oa.entropy(E(), total=-2.0), "total=-2.0 | positive finite"),
    ("total nan", lambda: oa.entropy(E(), NAN), "total=nan | positive finite"),
    ("total infinite", lambda: oa.entropy(E(), INF), "total=inf | positive finite"),
    ("total a text", lambda: oa.entropy(E("artist"), "all"), "total='all' | positive finite"),
    ("total of kl", lambda: oa.kl(E("artist"), 1, 0), 'kl(exposure(by="artist"), ..., total=0) | positive finite'),
    ("entropy with a minus", lambda: problem(maximize=REL - oa.entropy(E("artist"))), "entropy( | wrong sign | plus"),
    ("kl without a measure", lambda: oa.kl("genre", 1), "kl() takes a measure | 'genre'"),
    ("kl with a plus", lambda: problem(maximize=REL + oa.kl(E("artist"), 1)), "kl( | wrong sign | convex | minus"),
    ("share of 0", lambda: oa.kl(E("artist"), [1, 0]), "target at entry 1 is 0; | positive | cap of 0"),
    ("share negative", lambda: oa.kl(E("artist"), {"ann": -1}), "kl(exposure | target of 'ann' is -1; | positive"),
    ("share nan", lambda: oa.kl(E("artist"), NAN), "kl(exposure | positive finite"),
    ("share a text", lambda: oa.kl(E("artist"), "even"), "'even' | target is a number | {label: number}"),
    ("shares in 2-d", lambda: oa.kl(E("artist"), [[1, 2]]), "kl(exposure | one per group"),
    ("shares too short", lambda: problem(maximize=REL - oa.kl(E("campaign"), [1, 2])), "kl( | 2 entries | (3,)"),
    (
        "share of an unknown label",
        lambda: problem(maximize=REL - oa.kl(E("artist"), {"ann": 1, "bob": 2})),
        "kl( | no group 'bob' | Did you mean 'bo'?",
    ),
    (
        "a label without a share",
        lambda: problem(maximize=REL - oa.kl(E("campaign"), {7: 1, 9: 2})),
        "kl( | group 8 has no target | every group",
    ),
    ("reach without a measure", lambda: oa.reach(1), "reach() takes a measure | 1"),
    ("reach 0 times", lambda: oa.reach(E(), 0), "reach(exposure(), times=0) | positive finite"),
    ("reach nan times", lambda: oa.reach(E(), NAN), "times=nan | positive finite"),
    ("reach infinite times", lambda: oa.reach(E(), INF), "times=inf | positive finite"),
    ("reach by group", lambda: oa.reach(E("artist"), [1, 2]), "times=[1, 2] | positive finite"),
    ("reach with a minus", lambda: problem(maximize=REL - oa.reach(E("artist"))), "reach( | wrong sign | plus"),
    ("reach as a constraint", lambda: problem(oa.reach(E("artist"))), "subject_to | reach( | not a constraint"),
    ("worst_off without a measure", lambda: oa.worst_off("artist"), "worst_off() takes a measure | 'artist'"),
    ("worst_off of a constraint", lambda: oa.worst_off(E() <= 1), "worst_off() takes a measure | exposure() <= 1"),
    ("weights far apart", lambda: oa.worst_off(E("artist"), [1e-200, 1]), "weights from 1e-200 to 1 | 1e+150 times"),
    ("weight beyond sums", lambda: oa.worst_off(E("artist"), [1e301, 1]), "1e+301 is too large | 1e-300 to 1e+300"),
    ("offset beyond squares", lambda: oa.log(E("artist"), 1e160), "1e+160 is too large | 1e-300 to 1e+150"),
    ("weight below inverses", lambda: 1e-310 * oa.log(E("artist")), "1e-310 * log( | is too small | 1e-300"),
    ("supply beyond sums", lambda: supplied([1, 1, 1e200]), "supply: 1e+200 is too large | 1e+150"),
    ("weight of 0", lambda: oa.worst_off(E("artist"), [1, 0]), "weight at entry 1 is 0; | positive | no label"),
    ("weight negative", lambda: oa.worst_off(E("artist"), {"ann": -1}), "worst_off(exposure | positive finite"),
    ("weights nan", lambda: oa.worst_off(E("artist"), NAN), "worst_off(exposure | the weight is nan; | positive"),
    ("weights a text", lambda: oa.worst_off(E("artist"), "even"), "'even' | a number, an array | {label: number}"),
    ("weights in 2-d", lambda: oa.worst_off(E("artist"), [[1, 2]]), "worst_off(exposure | one per group"),
    (
        "weights too long",
        lambda: problem(maximize=REL + oa.worst_off(E("artist"), [1, 2, 3])),
        "worst_off( | 3 entries | (2,)",
    ),
    (
        "weight of an unknown label",
        lambda: problem(maximize=REL + oa.worst_off(E("artist"), {"ann": 1, "bob": 2})),
        "worst_off( | no group 'bob' | Did you mean 'bo'?",
    ),
    (
        "a label without a weight",
        lambda: problem(maximize=REL + oa.worst_off(E("campaign"), {7: 1, 9: 2})),
        "worst_off( | group 8 has no weight | every group",
    ),
    ("worst_off with a minus", lambda: problem(maximize=REL - oa.worst_off(E("artist"))), "worst_off( | wrong sign"),
    ("worst_off as a constraint", lambda: problem(oa.worst_off(E("artist"))), "subject_to | worst_off( | maximize"),
    ("gini_welfare without a measure", lambda: oa.gini_welfare(1), "gini_welfare() takes a measure | 1"),
    (
        "ranks that rise",
        lambda: oa.gini_welfare(E("campaign"), [3, 1, 2]),
        "weight 2 is 2, above weight 1, 1 | worst-off",
    ),
    ("rank negative", lambda: oa.gini_welfare(E("campaign"), [3, 1, -1]), "weight 2 is -1.0 | finite numbers >= 0"),
    ("rank nan", lambda: oa.gini_welfare(E("campaign"), [NAN, 1, 1]), "weight 0 is nan | finite"),
    ("ranks all 0", lambda: oa.gini_welfare(E("campaign"), [0, 0, 0]), "all weights are 0 | positive"),
    ("ranks a number", lambda: oa.gini_welfare(E("campaign"), 2.0), "array of shape () | (n_groups,)"),
    ("ranks in 2-d", lambda: oa.gini_welfare(E("campaign"), [[1, 2]]), "array of shape (1, 2) | (n_groups,)"),
    (
        "ranks by label",
        lambda: oa.gini_welfare(E("artist"), {"ann": 1, "bo": 1}),
        "array (n_groups,) | rank, not by label",
    ),
    (
        "ranks too short",
        lambda: problem(maximize=REL + oa.gini_welfare(E("campaign"), [2, 1])),
        "gini_welfare( | 2 weights | (n_groups,) = (3,) | worst-off's first",
    ),
    ("gini with a minus", lambda: problem(maximize=REL - oa.gini_welfare(E("artist"))), "gini_welfare( | wrong sign"),
    ("key of a function misspelt", lambda: problem(maximize=REL + oa.log(E("artst"))), "'artst' | 'artist'"),
    ("column of a function misspelt", lambda: problem(maximize=oa.log(oa.total("promo"))), "no column 'promo'"),
    ("log with a minus", lambda: problem(maximize=REL - oa.log(E("artist"))), "log( | wrong sign | concave | plus"),
    ("log times -2", lambda: problem(maximize=-2 * oa.log(E())), "-2 * log( | wrong sign | concave | plus"),
    ("objective with a minus", lambda: problem(maximize=-(REL + oa.log(E()))), "-log( | wrong sign | plus"),
    (
        "square_deviation with a plus",
        lambda: problem(maximize=REL + oa.square_deviation(E(), 1)),
        "square_deviation( | wrong sign | convex | minus",
    ),
    ("weight 0", lambda: 0 * oa.log(E()), "multiply | log(exposure(), offset=1) | 0 | other than 0"),
    ("weight nan", lambda: oa.log(E()) * NAN, "multiply | log( | nan | finite"),
    ("weight infinite", lambda: INF * oa.alpha_fair(E(), 2), "multiply | alpha_fair( | inf | finite"),
    ("weight too large", lambda: 1e200 * (1e200 * oa.log(E())), "multiply | 1e+200 | finite"),
    ("function divided by 0", lambda: oa.log(E()) / 0, "divide | log( | zero"),
    ("objective divided by 0", lambda: (REL + oa.log(E())) / 0, "divide | log( | zero"),
    ("objective times nan", lambda: NAN * (REL + oa.log(E())), "multiply | nan | finite"),
    ("constraint times 2", lambda: 2 * (E() <= 1), "exposure() <= 1 | no weight | constraint"),
    ("constraint with a minus", lambda: -(E() <= 1), "exposure() <= 1 | no weight"),
    ("soft constraint times 2", lambda: 2 * oa.soft(E() <= 1, 1), "soft( | no weight | penalty"),
    ("constraint added to a total", lambda: REL + (E() <= 1), "exposure() <= 1 | is a constraint | subject_to"),
    ("total added to a constraint", lambda: (E() <= 1) + E(), "exposure() <= 1 | is a constraint | subject_to"),
    ("constraint added to a function", lambda: oa.log(E()) + (E() <= 1), "is a constraint | subject_to"),
    ("groups added to a function", lambda: oa.log(E()) + E("artist"), 'exposure(by="artist") | one total per group'),
    ("log as a constraint", lambda: problem(oa.log(E("artist"))), "subject_to | log( | not a constraint | maximize"),
    ("deviation as a constraint", lambda: problem(-oa.square_deviation(E(), 1)), "subject_to | not a constraint"),
    ("function named by a number", lambda: oa.log(E()).named(3), "name | 3"),
    (
        "a function's name twice",
        lambda: problem((E() <= 1).named("x"), maximize=REL + oa.log(E()).named("x")),
        "are named 'x'",
    ),
    (
        "log of a total that must be zero",
        lambda: problem((E("campaign") <= {8: 0}).named("off"), maximize=REL + oa.log(E("campaign"), 0)),
        "log( | minus infinity | off | group 8 | offset above 0",
    ),
    (
        "log of a total that has no candidates",
        lambda: oa.solve(problem(maximize=REL + oa.log(E("campaign"), 0).named("fair"))),
        "fair | group 9 | at most 0 | minus infinity | offset above 0 | candidates",
    ),
    (
        "alpha_fair of a total that has no candidates",
        lambda: oa.solve(problem(maximize=oa.alpha_fair(E("market"), 2) + oa.alpha_fair(E("campaign"), 2)), gap=1e-3),
        "alpha_fair(exposure(by=\"market\") | group 'de' | minus infinity",
    ),
    # an earlier solution
    ("stay close to prices", lambda: oa.stay_close({"cap": 1.0}, 0.1), "stay_close(previous, ...) | oa.Solution | cap"),
    ("stay close to nothing", lambda: oa.stay_close(None, 0.1), "oa.Solution | None"),
    ("stay close to no allocation", lambda: oa.stay_close(solve(E() >= 9), 0.1), "infeasible | Leave the term out"),
    ("closeness 0", lambda: oa.stay_close(solve(), 0), "weight=0 | positive finite number | added"),
    ("closeness negative", lambda: oa.stay_close(solve(), -0.5), "weight=-0.5 | positive finite"),
    ("closeness nan", lambda: oa.stay_close(solve(), NAN), "weight=nan | positive finite"),
    ("closeness infinite", lambda: oa.stay_close(solve(), INF), "weight=inf | positive finite"),
    ("closeness a text", lambda: oa.stay_close(solve(), "much"), "weight='much' | positive finite"),
    ("closeness with a minus", lambda: REL - oa.stay_close(solve(), 0.5), "weight=-0.5 | is added"),
    ("objective with closeness times -1", lambda: -(REL + oa.stay_close(solve(), 0.5)), "weight=-0.5 | is added"),
    ("closeness divided by 0", lambda: oa.stay_close(solve(), 0.5) / 0, "divide | stay_close( | zero"),
    ("closeness as a constraint", lambda: problem(oa.stay_close(solve(), 0.5)), "subject_to | not a constraint"),
    (
        "ids of another type",
        lambda: oa.solve(problem(maximize=REL + oa.stay_close(solve(), 0.5), candidates=NAMED)),
        "user ids such as 0 | such as 'u1' | types differ | one type",
    ),
    ("churn of ids of another type", lambda: oa.solve(problem(candidates=NAMED)).churn(solve()), "user ids such as 0"),
    ("churn since a number", lambda: solve().churn(0.5), "churn(previous) | oa.Solution | 0.5"),
    ("churn since no allocation", lambda: solve().churn(solve(E() >= 9)), "churn(previous) | infeasible"),
    # solve
    ("not a problem", lambda: oa.solve(CANDIDATES), "oa.Problem | Candidates"),
    ("gap 0", lambda: solve(gap=0), "gap=0 | positive"),
    ("gap negative", lambda: solve(gap=-1e-3), "gap=-0.001 | positive"),
    ("gap nan", lambda: solve(gap=NAN), "gap=nan | positive"),
    ("gap a text", lambda: solve(gap="small"), "gap='small' | positive"),
    ("no gap", lambda: oa.solve(problem(), gap=None), "gap=None | positive number"),
    ("a gap beyond numbers", lambda: oa.solve(problem(), gap=10**400), "gap=1000 | positive number"),
    ("a span of time as a limit", lambda: solve(time_limit=np.timedelta64(3, "s")), "time_limit= | positive"),
    ("never a checkpoint", lambda: solve(checkpoint_every=None), "checkpoint_every=None | positive number"),
    ("true as a gap", lambda: oa.solve(problem(), gap=True), "gap=True | positive number"),
    (
        "weights that are too far apart",
        lambda: oa.solve(problem((E("campaign") <= 1).named("caps")), relax_weights={"caps": {8: 1e-9, 7: 1e9}}),
        "1e-09 and 1e+09 | 1e12 | closer",
    ),
    ("time 0", lambda: solve(time_limit=0), "time_limit=0 | positive"),
    ("time nan", lambda: solve(time_limit=NAN), "time_limit=nan | positive"),
    ("passes 0", lambda: solve(pass_limit=0), "pass_limit=0 | positive"),
    ("no threads", lambda: solve(threads=0), "threads=0 | positive"),
    ("half a thread", lambda: solve(threads=1.5), "threads=1.5 | whole"),
    ("unknown solver", lambda: solve(solver="conik"), "no solver 'conik' | Did you mean 'conic'? | dual"),
    ("unknown backend", lambda: solve(solver="conic:gurobi"), "no solver 'conic:gurobi' | conic:highs"),
    ("solver of another kind", lambda: solve(solver=None), "no solver None | dual"),
    ("start of another kind", lambda: start(3), "start= | Solution | int"),
    ("start with a wrong name", lambda: start({"cap": [0, 0, 0]}), "start | 'cap' | Did you mean 'caps'?"),
    ("start too short", lambda: start({"caps": [0.0]}), "start | 'caps' | (1,) | (3,)"),
    ("start in 2-d", lambda: start({"caps": [[0.0, 0, 0]]}), "start | 'caps' | (1, 3)"),
    ("start nan", lambda: start({"caps": [0.0, NAN, 0]}), "start | 'caps' | finite"),
    ("start infinite by label", lambda: start({"floors": {"ann": -INF}}), "start | 'floors' | finite"),
    ("start True", lambda: start({"caps": True}), "start | 'caps' | numbers"),
    ("start by labels of no group", lambda: start({"floors": pd.Series([1.0, 2.0])}), "'floors' | no group 0"),
    ("start of a table", lambda: start({"floors": pd.DataFrame({"a": [1.0]})}), "'floors' | a table"),
    ("start of texts", lambda: start({"caps": ["a", "b", "c"]}), "start | 'caps' | numbers"),
    ("start of texts by label", lambda: start({"floors": {"ann": "much"}}), "start | 'floors' | numbers"),
    ("weights not a mapping", lambda: solve(E() <= 1, relax_weights=2.0), "relax_weights= | {constraint name | float"),
    (
        "weights of an unknown constraint",
        lambda: solve((E() <= 1).named("cap"), relax_weights={"cup": 2.0}),
        "relax_weights | no constraint is named 'cup' | Did you mean 'cap'?",
    ),
    (
        "weights of a soft constraint",
        lambda: solve(oa.soft(E() <= 1, 2.0).named("cap"), relax_weights={"cap": 2.0}),
        "relax_weights | 'cap' is not a hard constraint | leave it out",
    ),
    (
        "weights by an unknown label",
        lambda: solve((E("artist") <= 1).named("cap"), relax_weights={"cap": {"anne": 2.0}}),
        "relax_weights of 'cap' | no group 'anne' | Did you mean 'ann'?",
    ),
    (
        "weights too short",
        lambda: solve((E("campaign") <= 1).named("cap"), relax_weights={"cap": [1.0, 2.0]}),
        "relax_weights of 'cap' | array has 2 entries | (n_groups,) = (3,)",
    ),
    (
        "relaxation weight 0",
        lambda: solve((E() <= 1).named("cap"), relax_weights={"cap": 0}),
        "'cap' is 0 | positive finite",
    ),
    (
        "relaxation weight negative by label",
        lambda: solve((E("artist") <= 1).named("cap"), relax_weights={"cap": {"bo": -1}}),
        "'cap' is -1 | positive finite",
    ),
    (
        "relaxation weight nan",
        lambda: solve((E() <= 1).named("cap"), relax_weights={"cap": NAN}),
        "'cap' is nan | positive",
    ),
    (
        "relaxation weights by an index of no labels",
        lambda: solve((E("artist") <= 1).named("cap"), relax_weights={"cap": pd.Series([1.0, 2.0])}),
        "relax_weights of 'cap' | no group 0",
    ),
    (
        "relaxation weight True",
        lambda: solve((E() <= 1).named("cap"), relax_weights={"cap": True}),
        "'cap' are not numbers | True",
    ),
    (
        "relaxation weight a text",
        lambda: solve((E() <= 1).named("cap"), relax_weights={"cap": "high"}),
        "'cap' are not numbers",
    ),
    # frontier
    ("sweep of something else", lambda: oa.frontier(REL, vary="x", points=[1]), "oa.Problem | Measure"),
    ("name misspelt", lambda: sweep("somme"), "nothing | named 'somme' | Did you mean 'some'? | caps"),
    (
        "total misspelt",
        lambda: sweep('total("promo")'),
        "named 'total(\"promo\")' | Did you mean 'total(\"promotion\")'?",
    ),
    ("column that is not maximized", lambda: sweep("relevence"), "named 'relevence' | total(\"relevance\")"),
    ("vary a measure", lambda: sweep(REL), 'vary=total("relevance") | expected the name'),
    ("no points", lambda: sweep("some", []), "points=[] | nothing to solve | one number or more"),
    ("one point", lambda: sweep("some", 3.0), "points=3.0 | expected numbers"),
    ("a point nan", lambda: sweep("some", [1, NAN]), "point 1 is nan | finite"),
    ("a point infinite", lambda: sweep("some", [INF]), "point 0 is inf | finite"),
    ("a point None", lambda: sweep("some", [1, None]), "point 1 is None | finite numbers"),
    ("a point True", lambda: sweep("some", [True]), "point 0 is True | finite numbers"),
    ("a point a text", lambda: sweep("some", "12"), "point 0 is '1' | finite numbers"),
    ("points by group", lambda: sweep("caps", [np.ones(3)]), "point 0 is array | finite numbers"),
    ("a point makes a cap negative", lambda: sweep("some", [1, -2]), "vary='some' | point 1, -2 | negative cap -2"),
    ("a factor makes a cap negative", lambda: sweep("caps", [-1], scale=True), "point 0, -1 | caps | negative cap -2"),
    (
        "a point makes a floor above its cap",
        lambda: sweep("least", [1, 3]),
        "vary='least' | point 1, 3, does not give a valid problem | at least 3 | some | at most 2",
    ),
    ("limits by group, one number", lambda: sweep("caps", [1]), "vary='caps' | by group | scale=True"),
    ("a factor of a limit of 0", lambda: sweep("none", [2], scale=True), "vary='none' | limit is 0 | no factor"),
    (
        "a factor of a weight of 0",
        lambda: oa.frontier(
            problem(maximize=REL + 0 * oa.total("promotion")).replace(
                maximize=Measure((*REL.terms, MeasureTerm(0.0, "promotion", ())))
            ),
            vary="promotion",
            points=[2],
            scale=True,
        ),
        "vary='promotion' | weight is 0 | no factor",
    ),
    (
        "a concave weight below 0",
        lambda: sweep('log(exposure(by="artist"), offset=1)', [-1]),
        "point 0, -1 | wrong sign",
    ),
    ("a convex weight above 0", lambda: sweep("dev", [-0.1, 0.1]), "point 1, 0.1 | wrong sign | convex | minus"),
    ("a factor below 0", lambda: sweep("dev", [-1], scale=True), "point 0, -1 | wrong sign"),
    (
        "nothing to maximize",
        lambda: oa.frontier(problem(maximize=oa.log(E()).named("fair")), vary="fair", points=[0]),
        "point 0, 0 | nothing to maximize",
    ),
    ("scale a number", lambda: sweep("some", scale=2.0), "scale=2.0 | True or False"),
    ("sweep's progress", lambda: sweep("some", progress=3), "progress=3 | callable"),
    ("sweep's argument misspelt", lambda: sweep("some", gapp=1e-3), "no argument 'gapp' | Did you mean 'gap'?"),
    ("sweep's gap", lambda: sweep("some", gap=0), "gap=0 | positive"),
    ("column of a frontier", lambda: sweep("some").column("valeu"), "no column 'valeu' | Did you mean 'value'?"),
    ("plot of texts", lambda: sweep("some").plot(y="status"), "'status' has no numbers"),
    ("plot of no column", lambda: sweep("some").plot(x="relevance"), "no column 'relevance' | total(\"relevance\")"),
    ("prices to keep negative", lambda: solve().shadow_prices(limit=-1), "limit=-1 | whole number"),
    ("prices to keep a text", lambda: solve().shadow_prices("all"), "limit='all' | whole number"),
    ("prices to keep True", lambda: solve().shadow_prices(True), "limit=True | whole number"),
    ("progress not callable", lambda: solve(progress="yes"), "progress='yes' | callable"),
]


@pytest.mark.few(86)
@pytest.mark.parametrize(("call", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_wrong_is_said(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        call()
    assert isinstance(caught.value, (OasisAllocError, ValueError))
    for word in words.split("|"):
        assert word.strip() in str(caught.value)


def test_the_table_has_no_case_twice() -> None:
    assert len({row[0] for row in TABLE}) == len(TABLE)


def test_measures_do_not_combine_with_other_things() -> None:
    for call in (
        lambda: E() + "a",
        lambda: E() * E(),
        lambda: E() / E(),
        lambda: E() - None,
        lambda: oa.log(E()) + 1,
        lambda: oa.log(E()) * E(),
        lambda: REL + oa.log(E()) - None,
        lambda: oa.stay_close(solve(), 0.5) * E(),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_cap_that_could_be_negative_is_not_refused() -> None:
    """Totals of a column, and differences, may be below 0."""
    assert problem(REL <= -1, E("campaign") - 0.5 * E() <= -0.1, -E() <= -1).names[2] == "-exposure() <= -1"


def test_the_reference_refuses_what_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    from oasis_alloc.solvers import conic

    monkeypatch.setattr(conic, "MOST_PAIRS", 3)
    with pytest.raises(SolverError, match=r"up to 3 pairs, and there are 4.*dual"):
        solve(solver="conic")


def test_unnamed_constraints_of_one_text_are_numbered() -> None:
    twice = problem(E() <= 3, E() <= 3)
    assert twice.names == ("exposure() <= 3", "exposure() <= 3 #2")
    assert set(oa.solve(twice).prices) == set(twice.names)
