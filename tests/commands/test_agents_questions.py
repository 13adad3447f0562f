"""Thirty questions with known answers, asked by a client over stdio; the answers are computed without the package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from asked import ARTISTS, CAPS, FLOOR, FLOORS, Market, Optimum, ask, statement
from needs import needs

needs("mcp", reason="the extra mcp is not installed")
pytestmark = pytest.mark.full

COUNT = 41
MARKET = Market()


class Known:
    """What the questions need: optima of SciPy, and users and items that make good questions."""

    def __init__(self) -> None:
        self.best, self.wide = best(), best(caps=1.5)
        x = MARKET.all.assign(x=self.best.x)
        self.exposure = x.groupby("campaign")["x"].sum()
        self.whole = [user for user, some in x.groupby("user")["x"] if ((some < 1e-9) | (some > 1 - 1e-9)).all()]
        self.split = x[(x["x"] > 0.01) & (x["x"] < 0.99)].iloc[0]
        self.crowded = self._crowded()

    def _crowded(self) -> tuple[int, int]:
        """(user, item) of an item that only the rule on artists keeps out: it scores more than what is shown last."""
        artist = dict(zip(MARKET.items["item"], MARKET.items["artist"], strict=True))
        for user in self.whole:
            scores, slate = MARKET.scores(self.best, user), MARKET.slate(self.best, user)
            for item, score in scores.items():
                if item not in slate and score > scores[slate[-1]] and artist[item] in {artist[one] for one in slate}:
                    return int(user), int(item)
        raise AssertionError("no such item; choose another seed")


def best(**how: Any) -> Optimum:
    found = MARKET.optimum(**how)
    assert found is not None
    return found


P, W = {"statement": "plain.toml"}, {"before": "plain.toml", "after": "wide.toml"}
Answer = dict[str, Any]


def group(answer: Answer, name: str, label: Any, member: str) -> float:
    """A member of a group in the rows of an answer."""
    (row,) = [row for row in answer["groups"]["rows"] if row["name"] == name and row["label"] == label]
    return float(row[member])


def column(answer: Answer, name: str) -> Answer:
    (found,) = [one for one in answer["columns"] if one["column"] == name]
    return dict(found)


def changed(answer: Answer, what: str, name: str, label: str) -> float:
    (row,) = [row for row in answer[what]["rows"] if row["name"] == name and row["label"] == label]
    return float(row["change"])


def reason(answer: Answer, item: int) -> Answer:
    (found,) = [row for row in answer["reasons"]["rows"] if row["item"] == item]
    return dict(found)


Question = tuple[str, str, dict[str, Any], Callable[[Answer], Any], Any]


@cache
def questions() -> list[Question]:
    """Question, tool, arguments, what is read from the answer, and what is known."""
    know, pairs = Known(), MARKET.all
    first, (user, out), split = know.whole[0], know.crowded, know.split
    item = int(split["item"])
    of_split = {"user": int(split["user"]), "items": [item]}
    clash = {"statement": "clash.toml"}
    artists = sum(ARTISTS.values())
    more_of_c3 = P | {"of": {"campaign": "c3"}}
    promised = best(floors=FLOORS | {"c3": float(know.exposure["c3"]) + 4.0})
    twice = MARKET.optimum(floors={label: 2 * floor for label, floor in FLOORS.items()})
    return [
        ("How many tables are there?", "files", {},
         lambda a: sum(row["kind"] == "table" for row in a["files"]["rows"]), 4),
        ("How many campaigns have no cap?", "read", {"path": "tables/campaigns.csv"},
         lambda a: column(a, "cap")["missing"], int(MARKET.campaigns["cap"].isna().sum())),
        ("How many candidates are there?", "check", P, lambda a: a["sizes"]["pairs"], len(MARKET.pairs)),
        ("How many items are in no campaign?", "check", P,
         lambda a: {key["key"]: key["without"] for key in a["keys"]["rows"]}["campaign"],
         int(MARKET.items["campaign"].isna().sum())),
        ("What is the mean promotion of a candidate?", "check", P,
         lambda a: column(a, "promotion")["mean"], float(MARKET.pairs["promotion"].mean())),
        ("Which checks of the job fail?", "check", {"statement": "job.toml"},
         lambda a: [one["name"] for one in a["checks"] if not one["passed"]], ["range promotion"]),
        ("Is the input of the job in order?", "check", {"statement": "job.toml"}, lambda a: a["passed"], False),
        ("What is the best value?", "solve", P, lambda a: a["certificate"]["value"], know.best.value),
        ("What can no allocation exceed?", "solve", P, lambda a: a["certificate"]["bound"], know.best.value),
        ("Is it proven?", "solve", P,
         lambda a: (a["certificate"]["status"], a["certificate"]["proven"]), ("SOLVED", True)),
        ("How much relevance is in it?", "solve", P,
         lambda a: a["objective"][0]["amount"], float(pairs["relevance"] @ know.best.x)),
        ("How often is campaign c3 shown?", "solve", P | {"name": "floors", "label": "c3"},
         lambda a: group(a, "floors", "c3", "total"), float(know.exposure["c3"])),
        ("What is one more impression of c0 worth?", "solve", P,
         lambda a: group(a, "caps", "c0", "price"), know.best.prices["caps"]["c0"]),
        ("What does one more promised impression of c3 cost?", "solve", P,
         lambda a: group(a, "floors", "c3", "price"), know.best.prices["floors"]["c3"]),
        ("What does a unit of the relevance guard cost?", "solve", P,
         lambda a: group(a, "guard", None, "price"), know.best.prices["guard"][""]),
        ("Which caps bind?", "solve", P | {"name": "caps"},
         lambda a: sorted(row["label"] for row in a["groups"]["rows"] if row["price"] > 1e-6),
         sorted(label for label, price in know.best.prices["caps"].items() if price > 1e-6)),
        ("What is this user shown?", "explain", P | {"user": first},
         lambda a: a["slate"], MARKET.slate(know.best, first)),
        ("What does the first item score for them?", "explain", P | {"user": first},
         lambda a: a["reasons"]["rows"][0]["score"],
         max(MARKET.scores(know.best, first)[one] for one in MARKET.slate(know.best, first))),
        ("Why is this item not shown?", "explain", P | {"user": user, "items": [out]},
         lambda a: reason(a, out)["rule"], "at_most artist"),
        ("How likely is this item shown to this user?", "explain", P | of_split,
         lambda a: reason(a, item)["probability"], float(split["x"])),
        ("In which market is this user?", "explain", P | {"user": str(user)},
         lambda a: a["labels"]["market"], str(MARKET.users.set_index("user")["market"][user])),
        ("Can all limits be met?", "conflicts", P, lambda a: a["conflicts"], []),
        ("Which limits conflict?", "conflicts", clash,
         lambda a: sorted((one["constraint"], one["label"]) for one in a["conflicts"]),
         [("artists", "artist 0"), ("artists", "artist 1"), ("floors", "c0")]),
        ("How much must give in total?", "conflicts", clash,
         lambda a: sum(one["give"] for one in a["remedy"]["relax"]), FLOOR - artists),
        ("Which floor is possible without more of the artists?", "conflicts", clash | {"weights": {"artists": 10.0}},
         lambda a: {one["constraint"]: one["relaxed_limit"] for one in a["remedy"]["relax"]}, {"floors": artists}),
        ("How much can c3 be shown at most?", "conflicts", {"statement": "scarce.toml"},
         lambda a: a["remedy"]["relax"][0]["reached"], MARKET.most("c3")),
        ("What do caps of 1.5 times add?", "compare", W,
         lambda a: a["value_change"], know.wide.value - know.best.value),
        ("Which share of slots changes?", "compare", W,
         lambda a: a["churn"], float(1 - np.minimum(know.best.x, know.wide.x).sum() / know.wide.x.sum())),
        ("How many more impressions does c0 get then?", "compare", W, lambda a: changed(a, "totals", "caps", "c0"),
         float(pairs.assign(x=know.wide.x).groupby("campaign")["x"].sum()["c0"] - know.exposure["c0"])),
        ("How much does the price of c1's cap fall?", "compare", W, lambda a: changed(a, "prices", "caps", "c1"),
         know.wide.prices["caps"]["c1"] - know.best.prices["caps"]["c1"]),
        ("What are values at 0.9, 1 and 2 times the caps?", "sweep",
         P | {"vary": "caps", "points": [0.9, 1, 2], "scale": True},
         lambda a: [row["certificate"]["value"] for row in a["rows"]], [best(caps=k).value for k in (0.9, 1, 2)]),
        ("What does a larger factor add at 0.9?", "sweep", P | {"vary": "caps", "points": [0.9], "scale": True},
         lambda a: a["rows"][0]["price"],
         sum(best(caps=0.9).prices["caps"][label] * cap for label, cap in CAPS.items())),
        ("How much promotion is shown at a weight of 2?", "sweep", P | {"vary": "promotion", "points": [2.0]},
         lambda a: {part["part"]: part["total"] for part in a["rows"][0]["parts"]}['total("promotion")'],
         float(pairs["promotion"] @ best(weight=2.0).x)),
        ("Can floors be twice as high?", "sweep", P | {"vary": "floors", "points": [2.0], "scale": True},
         lambda a: a["rows"][0]["certificate"]["status"], "INFEASIBLE" if twice is None else "SOLVED"),
        ("What do 4 more impressions of c3 cost?", "quote", more_of_c3 | {"units": 4.0, "certify": True, "gap": 1e-8},
         lambda a: [a["cost"]["low"], a["cost"]["high"]], [know.best.value - promised.value] * 2),
        ("Can they be delivered?", "quote", more_of_c3 | {"units": 4.0}, lambda a: a["feasible"], True),
        ("How many more impressions can c3 get at most?", "quote", more_of_c3 | {"certify": True, "gap": 1e-8},
         lambda a: [a["max_units"]["low"], a["max_units"]["high"]],
         [best(count="c3").value - float(know.exposure["c3"])] * 2),
        ("Is the immediate cost of 4 more never above the true one?", "quote", more_of_c3 | {"units": 4.0},
         lambda a: a["cost"]["low"] <= (know.best.value - promised.value) * (1 + 1e-6), True),
        ("Can c0 get 10 more?", "quote", {**P, "of": {"campaign": "c0"}, "units": 10.0, "certify": True},
         lambda a: a["feasible"], False),
        ("State it without promotion.", "write", {"path": "bare.toml", "text": statement(weight=0)},
         lambda a: a["kind"], "problem"),
        ("What is wrong with it?", "write", {"path": "bad.toml", "text": statement() + "\n[slaet]\nsize = 2"},
         lambda a: "Did you mean 'slate'" in a["error"], True),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("room") / "market"
    MARKET.write(folder)
    return ask(folder, {text: (tool, arguments) for text, tool, arguments, _, _ in questions()})


@pytest.mark.parametrize("number", range(COUNT))
def test_questions(answers: dict[str, Any], number: int) -> None:
    text, _, _, found, known = questions()[number]
    document, failed = answers[text]
    assert failed == ("error" in document), text
    assert is_known(found(document), known), f"{text} {found(document)!r}; known: {known!r}"


def is_known(found: Any, known: Any) -> bool:
    """Equal; numbers that are computed agree to a millionth."""
    if isinstance(known, list):
        return len(found) == len(known) and all(map(is_known, found, known))
    if isinstance(known, dict):
        return found.keys() == known.keys() and all(is_known(found[name], one) for name, one in known.items())
    return bool(found == (pytest.approx(known, rel=1e-6, abs=1e-7) if isinstance(known, float) else known))


def test_the_questions_are_of_all_tools(answers: dict[str, Any]) -> None:
    assert len(questions()) == len({text for text, *_ in questions()}) == COUNT >= 30
    assert {tool.name for tool in answers["tools"]} == {tool for _, tool, *_ in questions()}
    for tool in answers["tools"]:
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False


IDS = ("label", "item", "rival", "user", "group", "slate", "first", "labels", "points", "by")  # what names things


def numbers(value: Any, at: tuple[str, ...] = (), beside: Any = None) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every number of a document, with its path and the object that has it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in IDS:
                yield from numbers(inner, (*at, name), value)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, at, beside)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield at, beside


def test_every_number_has_a_unit_and_every_answer_of_a_solve_a_certificate(answers: dict[str, Any]) -> None:
    checked = 0
    for text, tool, *_ in questions():
        document, failed = answers[text]
        if failed:
            continue
        for path, owner in numbers(document):
            assert path[-1] in document["units"] or owner.get("unit"), f"{tool}: {'.'.join(path)} has no unit"
            if document["units"].get(path[-1]) == "the unit in `unit`":
                assert owner["unit"], f"{tool}: {'.'.join(path)} has no unit"
            checked += 1
        if tool in ("solve", "explain", "conflicts", "compare", "sweep", "quote"):
            said = json.dumps(document)
            for member in ('"status"', '"value"', '"bound"', '"gap"', '"violation"'):
                assert member in said
    assert checked > 500


def test_the_optimum_is_between_value_and_bound(answers: dict[str, Any]) -> None:
    one = answers["What is the best value?"][0]["certificate"]
    assert one["value"] <= best().value * (1 + 1e-9)
    assert one["bound"] >= best().value * (1 - 1e-9)
    assert one["violation"] <= 1e-6
