"""Bad candidates: what is wrong, which error, and the words that it must contain."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError, MissingDependencyError, OasisAllocError, ProblemError, SolverError, require

NAN, INF = float("nan"), float("inf")

# Good: three users with 2, 0 and 2 of four items.
GOOD = {"indptr": [0, 2, 2, 4], "item": [2, 0, 0, 1], "columns": {"rel": [0.5, 0.25, 1.0, 2.0]}, "n_items": 4}

ARRAYS = [
    # what is wrong, the arguments that are, the words between bars
    ("nan", {"columns": {"rel": [0.5, 1, NAN, 2]}}, "columns['rel'] | pair 2 | user 2 | nan | finite"),
    ("infinite", {"columns": {"rel": [0.5, INF, 1, 2]}}, "columns['rel'] | pair 1 | user 0 | is inf"),
    ("minus infinite", {"columns": {"rel": [-INF, 1, 1, 2]}}, "pair 0 | is -inf"),
    ("overflow", {"columns": {"rel": np.array([1, 1, 1, "1e999"], np.longdouble)}}, "pair 3 | is inf"),
    ("None in a column", {"columns": {"rel": [0.5, None, 1, 2]}}, "columns['rel'] | pair 1 | nan"),
    ("pandas NA", {"columns": {"rel": pd.array([1, None, 1, 2], "Int64")}}, "columns['rel'] | pair 1 | nan"),
    ("short column", {"columns": {"rel": [1.0]}}, "columns['rel'] | has 1 entries | expected 4 | n_pairs"),
    ("2-d column", {"columns": {"rel": np.ones((2, 2))}}, "columns['rel'] | shape (2, 2) | one dimension"),
    ("0-d column", {"columns": {"rel": 1.0}}, "columns['rel'] | shape ()"),
    ("ragged column", {"columns": {"rel": [[1], [2, 3]]}}, "columns['rel'] | cannot be read"),
    ("strings", {"columns": {"rel": ["a", "b", "c", "d"]}}, "columns['rel'] | strings | expected numbers"),
    ("a string", {"columns": {"rel": np.array([1, "2", 3, 4], object)}}, "entry 1 | '2' | expected numbers"),
    ("a thing", {"columns": {"rel": np.array([1, {}, 3, 4], object)}}, "columns['rel'] | not a number"),
    ("dates", {"columns": {"rel": np.zeros(4, "M8[D]")}}, "columns['rel'] | datetime64 | expected numbers"),
    ("complex", {"columns": {"rel": np.zeros(4, complex)}}, "columns['rel'] | complex128"),
    ("masked", {"columns": {"rel": np.ma.masked_array([1, 2, 3, 4], [0, 0, 1, 0])}}, "entry 2 | masked"),
    ("no columns", {"columns": {}}, "columns is empty | one column or more"),
    ("columns no mapping", {"columns": [1, 2, 3, 4]}, "columns is list | mapping"),
    ("column without a name", {"columns": {"": [1, 2, 3, 4]}}, "columns | '' | not empty"),
    ("column with a number", {"columns": {3: [1, 2, 3, 4]}}, "columns | name 3 | string"),
    ("zero users", {"indptr": [0], "item": [], "columns": {"rel": []}}, "indptr | 1 entries | no users"),
    ("no indptr", {"indptr": [], "item": [], "columns": {"rel": []}}, "indptr | 0 entries | no users"),
    ("indptr from 1", {"indptr": [1, 2, 2, 4]}, "indptr starts at 1 | expected 0"),
    ("indptr down", {"indptr": [0, 3, 2, 4]}, "indptr decreases at entry 2 | from 3 to 2"),
    ("unsigned indptr down", {"indptr": np.array([0, 3, 2, 4], np.uint64)}, "indptr decreases at entry 2"),
    ("indptr short", {"indptr": [0, 2, 2, 3]}, "indptr ends at 3 | expected 4 | n_pairs"),
    ("indptr long", {"indptr": [0, 2, 2, 5]}, "indptr ends at 5 | expected 4"),
    ("indptr of floats", {"indptr": [0.0, 2.0, 2.0, 4.0]}, "indptr | float64 | expected integers"),
    ("2-d indptr", {"indptr": [[0, 4]]}, "indptr | shape (1, 2)"),
    ("item too large", {"item": [2, 0, 4, 1]}, "item | entry 2 | is 4 | [0, 4) | n_items"),
    ("item negative", {"item": [2, 0, 0, -3]}, "item | entry 3 | is -3 | [0, 4)"),
    ("item of floats", {"item": [2.0, 0.0, 0.0, 1.0]}, "item | float64 | expected integers"),
    ("item of bools", {"item": [True, False, False, True]}, "item | bool | expected integers"),
    ("item of objects", {"item": np.array([2, 0, 0.5, 1], object)}, "item | entry 2 | 0.5 | integers"),
    ("item of strings", {"item": ["a", "b", "c", "d"]}, "item | expected integers"),
    ("item beyond 64 bits", {"item": [2, 0, 0, 2**70]}, "item | 64 bits"),
    ("item beyond 32 bits", {"item": [2, 0, 0, 2**32], "n_items": None}, "item | 4,294,967,296 | 2**32"),
    ("ids for numbers", {"item": [2, 0, 0, 1_500_000_000], "n_items": None}, "1,500,000,000 | from_frames | np.unique"),
    ("sparse numbers", {"item": [2, 0, 0, 10**8], "n_items": None}, "100,000,000 | look like ids | np.unique"),
    ("n_items negative", {"n_items": -1}, "n_items is -1 | >= 0"),
    ("n_items a float", {"n_items": 4.0}, "n_items is 4.0 | integer"),
    ("n_items huge", {"n_items": 2**40}, "n_items | 2**32"),
    ("duplicates", {"item": [2, 0, 1, 1]}, "user 2 | item 1 | twice | pairs 2 and 3"),
    ("short attribute", {"items": {"artist": [1, 2]}}, "items['artist'] | has 2 | expected 4 | n_items"),
    ("long attribute", {"users": {"market": [1] * 5}}, "users['market'] | has 5 | expected 3 | n_users"),
    ("2-d attribute", {"items": {"artist": np.ones((4, 1))}}, "items['artist'] | shape (4, 1)"),
    ("one string", {"users": {"market": "sed"}}, "users['market'] | str | one-dimensional"),
    ("one number", {"users": {"market": 7}}, "users['market'] | int | one-dimensional"),
    ("negative label", {"items": {"artist": [1, -1, -2, 3]}}, "items['artist'] | entry 2 | -2 | -1 for no label"),
    ("negative float", {"items": {"artist": [1, NAN, -2, 3.0]}}, "items['artist'] | entry 2 | -2"),
    ("NaN as an integer", {"items": {"artist": [1, -(2**63), 2, 3]}}, "items['artist'] | entry 1 | NaN converted"),
    ("True among numbers", {"items": {"artist": [1, True, 2, 3]}}, "items['artist'] | bool, int | entry 1 is True"),
    ("infinite label", {"items": {"artist": [1, INF, 2, 3.0]}}, "items['artist'] | infinite | finite"),
    ("mixed labels", {"items": {"artist": [1, "a", 2, 3]}}, "items['artist'] | int, str | cannot be sorted"),
    ("complex", {"items": {"artist": [1j, 2, 3, 4]}}, "items['artist'] | cannot be labels: 1j is a complex"),
    ("unhashable", {"items": {"artist": [{}, {1: 2}, {}, {}]}}, "items['artist'] | cannot be a label | dict"),
    ("complex label", {"items": {"artist": np.zeros(4, complex)}}, "items['artist'] | complex128"),
    ("key twice", {"users": {"k": [1, 2, 3]}, "items": {"k": [1, 2, 3, 4]}}, "'k' | both | users | items"),
    ("key without a name", {"users": {None: [1, 2, 3]}}, "users | None | string"),
    ("attributes no mapping", {"items": [1, 2, 3, 4]}, "items is list | mapping"),
    ("an infinite id", {"item_ids": [0.5, INF, 1, 2]}, "item_ids: entry 1 is inf; expected finite numbers"),
    ("an infinite id of an array", {"item_ids": np.array([2, 1, -INF, 0])}, "item_ids: entry 2 is -inf"),
    ("an infinite id among texts", {"user_ids": ["a", INF, "b"]}, "user_ids: entry 1 is inf"),
    ("an infinite decimal id", {"user_ids": [Decimal(2), Decimal(1), Decimal("Infinity")]}, "user_ids: entry 2 is "),
    ("short ids", {"item_ids": ["a"]}, "item_ids | has 1 | expected 4 | n_items"),
    ("missing id", {"user_ids": ["a", None, "c"]}, "user_ids | entry 1 | missing"),
    ("repeated id", {"user_ids": ["a", "b", "a"]}, "user_ids | 'a' | entry 0 and | again at 2"),
    ("unhashable id", {"user_ids": [[1], [2], [3]]}, "user_ids | cannot be a label"),
]  # fmt: skip


MEMBER = np.ones((4, 2), bool)
TWICE = sp.csr_array((np.ones(2), np.array([1, 0]), np.array([0, 0, 1, 2, 2])), shape=(4, 2))
SPARSE_NAN = sp.csr_array(np.array([[0, 0], [0, 1], [0, NAN], [1, 1]]))

SEVERAL = [
    # keys of several labels an item: what is wrong, the attribute, the words
    ("short lists", [["a"], ["b"]], "items['genre'] | has 2 rows | expected 4 | n_items"),
    ("long matrix", np.ones((5, 2), bool), "items['genre'] | has 5 rows | expected 4 | n_items"),
    ("long sparse matrix", sp.csr_array((5, 2)), "items['genre'] | has 5 rows | expected 4"),
    ("list in a list", [["a"], [], ["b", ["c"]], []], "items['genre'] | item 2 | ['c'] among its labels | one list"),
    ("tuple in a set", [{"a"}, {("b", "c")}, None, None], "items['genre'] | item 1 | ('b', 'c') among its labels"),
    ("mapping in a list", [["a"], [{}], [], []], "items['genre'] | item 1 | {} among"),
    ("array of two dimensions", [np.ones((1, 2)), [], [], []], "items['genre'] | item 0 | shape (1, 2)"),
    ("a label that is no list", [["a"], "b", [], []], "items['genre'] | item 1 is 'b' | expected a list"),
    ("minus one for none", [[1], [2], [], -1], "items['genre'] | item 3 is -1 | expected a list"),
    ("minus one in a list", [[1], [2, -1], [], []], "items['genre'] | item 1 | label -1 | expected no missing label"),
    ("negative", [[1], [], [-2, 1], []], "items['genre'] | item 2 has the label -2 | >= 0"),
    ("nan", [["a"], [], [], ["b", NAN]], "items['genre'] | item 3 | label nan | missing"),
    ("nan in an array", [np.array([1.0, NAN]), [], [], []], "items['genre'] | item 0 | label nan"),
    ("masked", [np.ma.masked_array([1, 2], [0, 1]), [], [], []], "items['genre'] | item 0 | label None | missing"),
    ("None", [["a"], ["a", None], [], []], "items['genre'] | item 1 | label None | empty list"),
    ("infinite", [[1.0], [], [0.5, INF], []], "items['genre'] | infinite | item 2 has the label inf"),
    ("mixed", [["a"], [], ["b", 3], []], "items['genre'] | int, str | item 2 has the label 3 | cannot be sorted"),
    ("booleans", [[True, False], [], [], []], "items['genre'] | item 0 has True among its labels | dtype bool"),
    ("unhashable", [["a"], [bytearray(b"b")], [], []], "items['genre'] | cannot be a label | bytearray"),
    ("twice", [["a"], [], ["c", "b", "c"], []], "items['genre'] | item 2 has the label 'c' twice | distinct"),
    ("numbers twice", [[1, 1.0], [], [], []], "items['genre'] | item 0 has the label 1 twice"),
    ("zeros and ones", np.ones((4, 2), int), "items['genre'] | shape (4, 2) | int64 | dtype bool | sparse"),
    ("zeros and ones, labels", (np.ones((4, 2)), ["a", "b"]), "items['genre'] | shape (4, 2) | float64 | dtype bool"),
    ("rows of zeros and ones", [[1, 0, 0], [0, 1, 0], [], []], "items['genre'] | item 0 has the label 0 twice | bool"),
    ("sparse nan", SPARSE_NAN, "items['genre'] | item 2 has nan in column 1"),
    ("sparse vector", sp.coo_array(np.ones(4)), "items['genre'] | shape (4,) | (n_items, n_categories)"),
    ("three dimensions", np.ones((4, 2, 2), bool), "items['genre'] | shape (4, 2, 2)"),
    ("short labels", (MEMBER, ["a"]), "items['genre']: labels has 1 | expected 2 | columns of the matrix"),
    ("long labels", (TWICE, ["a", "b", "c"]), "items['genre']: labels has 3 | expected 2"),
    ("labels no list", (MEMBER, 2), "items['genre']: labels is int | one-dimensional"),
    ("labels missing", (MEMBER, ["a", None]), "items['genre']: labels | entry 1 is missing"),
    ("labels twice", (TWICE, ["a", "a"]), "items['genre']: labels | entry 1 repeats 'a' | distinct"),
    ("labels mixed", (MEMBER, ["a", 1]), "items['genre']: labels | int, str | entry 1 is 1"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), [row[1:] for row in SEVERAL], ids=[row[0] for row in SEVERAL])
def test_several_labels(values, words) -> None:
    with pytest.raises(InputError) as caught:
        Candidates.from_arrays(**GOOD, items={"genre": values})
    missing = [word for word in words.split(" | ") if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([["a"], "b", "c"], "the list ['a'] for user 0"),
        (["a", "b", ("c", "d")], "the tuple ('c', 'd') for user 2"),
        (np.ones((3, 2), bool), "is a matrix"),
        ((sp.csr_array((3, 2)), ["a", "b"]), "is a matrix"),
    ],
)
def test_only_items_may_have_several_labels(values, words) -> None:
    with pytest.raises(InputError) as caught:
        Candidates.from_arrays(**GOOD, users={"market": values})
    wanted = ["users['market']", words, "only keys of the items", "one label per user"]
    missing = [word for word in wanted if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


@pytest.mark.few(13)
@pytest.mark.parametrize(("wrong", "words"), [row[1:] for row in ARRAYS], ids=[row[0] for row in ARRAYS])
def test_arrays(wrong, words) -> None:
    with pytest.raises(InputError) as caught:
        Candidates.from_arrays(**(GOOD | wrong))
    missing = [word for word in words.split(" | ") if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


def test_the_good_ones_are_good() -> None:
    assert Candidates.from_arrays(**GOOD).n_pairs == 4
    assert Candidates.from_frames(**{k: pd.DataFrame(v) for k, v in FRAMES_GOOD.items()}).n_pairs == 3


FRAMES_GOOD = {
    "pairs": {"user": ["b", "a", "b"], "item": [1, 2, 2], "rel": [0.5, 1.0, 2.0], "text": ["x", "y", "z"]},
    "users": {"user": ["a", "b"], "market": ["se", "de"]},
    "items": {"item": [1, 2], "artist": ["x", None]},
}

NOBODY: dict[str, list[str]] = {"user": [], "market": []}

FRAMES = [
    # what is wrong, the frames' columns that are, other arguments, the words
    ("nan", {"pairs": {"rel": [1.0, 2.0, NAN]}}, {}, "column 'rel' | row 2 | nan"),
    ("null", {"pairs": {"rel": [1.0, None, 2]}}, {}, "column 'rel' | row 1 | null"),
    ("infinite", {"pairs": {"rel": [INF, 1, 2]}}, {}, "column 'rel' | row 0 | is inf"),
    ("null id", {"pairs": {"user": ["b", None, "a"]}}, {}, "pairs | column 'user' | row 1 | null"),
    ("nan id", {"pairs": {"item": [1.0, 2.0, NAN]}}, {}, "pairs | column 'item' | row 2 | nan"),
    ("null user", {"users": {"user": [None, "b"]}}, {}, "users | column 'user' | row 0 | null"),
    ("unknown user", {"pairs": {"user": ["b", "c", "d"]}}, {}, "'c', 'd' | row 1 | missing from users"),
    ("unknown item", {"pairs": {"item": [1, 2, 9]}}, {}, "'item' | 9 | row 2 | missing from items"),
    ("other type", {"users": {"user": [1, 2]}}, {}, "missing from users | Int64 there | String in pairs"),
    ("repeated user", {"users": {"user": ["b", "b"]}}, {}, "users | more than once | 'b' | one row per id"),
    ("repeated item", {"items": {"item": [2, 2]}}, {}, "items | more than once: 2;"),
    ("duplicates", {"pairs": {"item": [2, 2, 2]}}, {}, "user 'b' | item 2 | twice | rows 0 and 2"),
    ("no such user column", {}, {"user": "usr"}, "pairs | 'usr' | Did you mean 'user' | text"),
    ("no such item column", {}, {"item": "rle"}, "pairs | 'rle' | Did you mean 'rel'"),
    ("no name", {}, {"item": 3}, "item is 3 | name of a column"),
    ("same column", {}, {"user": "item"}, "user and item | 'item' | two columns"),
    ("users without ids", {"users": {"user": ...}}, {}, "users | no column 'user' | Known: market"),
    ("unknown column", {}, {"columns": ["rell"]}, "'rell' | Did you mean 'rel'"),
    ("text as a column", {}, {"columns": ["text"]}, "column 'text' | string | expected numbers"),
    ("ids as a column", {}, {"columns": ["item"]}, "'item' | holds ids"),
    ("columns twice", {}, {"columns": ["rel", "rel"]}, "twice | rel"),
    ("no columns", {}, {"columns": []}, "columns is empty"),
    ("no numbers", {"pairs": {"rel": ["a", "b", "c"]}}, {}, "no numeric column | column 'rel' holds"),
    ("zero users", {"pairs": {name: [] for name in FRAMES_GOOD["pairs"]}, "users": NOBODY},
     {"columns": "rel"}, "no users | one user or more"),
    ("an infinite id", {"pairs": {"user": [0.5, np.inf, 1.0]}}, {}, "pairs: column 'user': row 1 is inf"),
    ("unhashable id", {"pairs": {"user": [[1], [2], [3]]}}, {}, "pairs | 'user' | cannot be a label"),
]  # fmt: skip


@pytest.mark.few(15)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("wrong", "arguments", "words"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES])
def test_frames(make, wrong, arguments, words) -> None:
    frames = {}
    for what, columns in FRAMES_GOOD.items():
        changed = columns | wrong.get(what, {})
        frames[what] = make({name: values for name, values in changed.items() if values is not ...})
    with pytest.raises(InputError) as caught:
        Candidates.from_frames(**frames, **arguments)
    missing = [word for word in words.split(" | ") if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


ASKED = [
    # what is wrong with a column of users or items, the columns that are, the key that is asked for, the words
    ("key twice", {"items": {"market": ["x", "y"]}}, "market", "'market' | both"),
    ("negative label", {"items": {"artist": [-5, 1]}}, "artist", "items['artist'] | -5 | Hashes may be"),
    ("NaN converted", {"items": {"artist": [-(2**63), 1]}}, "artist", "items['artist'] | NaN converted"),
    ("label twice", {"items": {"item": [2, 1], "artist": [["x"], ["y", "y"]]}}, "artist",
     "items['artist'] | item 1 | 'y' twice"),
    ("lists of users", {"users": {"market": [["se"], ["de"]]}}, "market", "users['market'] | user 0 | only keys of"),
    ("infinite label", {"items": {"artist": [INF, 0.5]}}, "artist", "items['artist'] | infinite"),
]  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("wrong", "key", "words"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
def test_a_column_is_refused_where_it_is_asked_for_and_not_before(make, wrong, key, words) -> None:
    frames = {what: make(columns | wrong.get(what, {})) for what, columns in FRAMES_GOOD.items()}
    candidates = Candidates.from_frames(**frames)
    assert key in candidates.items or key in candidates.users
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            candidates.grouping(key)
        missing = [word for word in words.split(" | ") if word not in str(caught.value)]
        assert not missing, f"{missing} not in: {caught.value}"


def test_not_a_frame() -> None:
    with pytest.raises(InputError, match="pairs is dict; expected a pandas, polars or pyarrow frame"):
        Candidates.from_frames(FRAMES_GOOD["pairs"])
    with pytest.raises(InputError, match="items is list; expected"):
        Candidates.from_frames(pd.DataFrame(FRAMES_GOOD["pairs"]), items=[1, 2])
    with pytest.raises(InputError, match=r"no column 'user'.*'user \(column 1\)' and 'user \(column 2\)'"):
        Candidates.from_frames(pd.DataFrame([[1, 2, 3.0]], columns=["user", "user", "rel"]))


def test_decimals_are_numbers() -> None:
    pairs = pl.DataFrame({"user": [1, 2], "item": [dt.date(2024, 1, 1)] * 2, "v": [Decimal("0.5"), Decimal(2)]})
    assert Candidates.from_frames(pairs).columns["v"].tolist() == [0.5, 2.0]


KEYS = GOOD | {"users": {"market": [1, 2, 3]}, "items": {"artist": [1, 2, 3, 4]}}


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("artits", ["'artits'", "Did you mean 'artist'?", "users: market", "items: artist"]),
        (("artist", "markt"), ["'markt'", "Did you mean 'market'?"]),
        (("artist", "artist"), ["twice", "distinct"]),
        ((), ["by=()", "name of a key"]),
        (3, ["by=3", "name of a key"]),
        ((1, 2), ["1 is not a key"]),
    ],
)
@pytest.mark.parametrize("ask", ["groups", "grouping"])
def test_unknown_keys(ask, by, words) -> None:
    with pytest.raises(ProblemError) as caught:
        getattr(Candidates.from_arrays(**KEYS), ask)(by)
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


def test_the_exception_tree() -> None:
    bases = {InputError: ValueError, ProblemError: ValueError, SolverError: RuntimeError}
    for error, base in (bases | {MissingDependencyError: ImportError}).items():
        assert issubclass(error, OasisAllocError)
        assert issubclass(error, base)


def test_a_missing_module_says_how_to_install_it() -> None:
    with pytest.raises(MissingDependencyError, match=r'no_such_module.*pip install "\.\[plot\]"') as caught:
        require("no_such_module.inner", "plot")
    assert isinstance(caught.value.__cause__, ImportError)


def test_long_lists_of_known_names_are_cut() -> None:
    text = did_you_mean("n7x", [f"n{k}" for k in range(100)])
    assert text.startswith(" Did you mean 'n7'? Known: n0, n1,")
    assert text.endswith("n11, ... (100 in all).")
    assert did_you_mean(7, [8]) == " Known: 8."


def test_a_key_of_both_sides_is_listed_once() -> None:
    pairs, land = pd.DataFrame({"user": [1], "item": [1], "v": [1.0]}), ["a"]
    users, items = pd.DataFrame({"user": [1], "land": land}), pd.DataFrame({"item": [1], "land": land})
    candidates = Candidates.from_frames(pairs, users=users, items=items)
    with pytest.raises(ProblemError, match=r"Known: land\."):
        candidates.grouping("zzz")
