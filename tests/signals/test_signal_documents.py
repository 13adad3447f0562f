"""Results of signals as JSON: each is a document with a format and a schema, and its members are in docs/json.md."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from uncertain import market, problem

import oasis_alloc as oa
import oasis_alloc.signals
from oasis_alloc.common.documents import Document

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
# They take part in documents, or are arguments: nobody stores them alone.
PARTS = {"OffPolicyEstimate", "OffPolicyWeights", "CVaR", "LowerQuantile", "Draws", "DriftWatch"}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """A result of every class, by its name."""
    cands, drawn = market(users=6, items=6, degree=4)
    stated = problem(cands)
    draws = oa.Draws(cands, {"relevance": drawn})
    answer = oa.solve_uncertain(stated, risk=oa.CVaR(0.2), draws=draws, gap=1e-2)
    outcomes = np.array([1.0, 0.0, 0.0, 1.0] * 25)
    scores = np.linspace(0.1, 0.9, 100)
    sketch = oa.Sketch.of({"r": scores, "s": scores}, bins=4)
    watch = oa.DriftWatch(sketch, every=1, rows=10)
    watch.seen([0, -1], {"r": scores + np.nan})
    results = [
        answer,
        oa.estimate_value(answer, draws=draws),
        oa.value_difference(answer, answer, draws=draws),
        oa.perfect_information(stated, draws, limit=2, gap=1e-2),
        oa.Calibration(np.array([0.0, 1.0]), np.array([[0.1, 0.3]])),
        oa.Reliability.of(scores, outcomes),
        oa.SelectedError.from_randomized(scores, outcomes, np.full(100, 0.5)),
        oa.choose_exploration(0.01, requests=100_000, rate=0.05, candidates=20),
        oa.off_policy(outcomes, np.full(100, 0.5), [0.5, 0.5, 0.25, 0.75] * 25),
        sketch,
        watch.check(),
        watch.check().drifts[0],
        oa.DriftEffect("caps", ("SE", "a"), np.nan, 1.0, -np.inf, 2.0, 0.0, "", 0.0),
    ]
    return {type(one).__name__: one for one in results}


def members_of(form: str) -> set[str]:
    """The members that the page lists for a format: those of its row, or all words of its section."""
    row = re.search(rf"^\| `{re.escape(form)}` \|(.*)\|$", PAGE, re.MULTILINE)
    text = row[1] if row else PAGE.split(f"## `{form}`")[1].split("\n## ")[0]
    return set(re.findall(r"`(\w+)`", text))


def names() -> Iterator[str]:
    """Public classes of results of signals."""
    for module in pkgutil.walk_packages(oasis_alloc.signals.__path__, "oasis_alloc.signals."):
        for name, found in vars(importlib.import_module(module.name)).items():
            if isinstance(found, type) and found.__module__ == module.name and name in oa.__all__:
                yield name


def test_every_result_is_a_document(made: dict[str, Any]) -> None:
    assert set(names()) - PARTS == set(made)


def test_documents_are_plain_and_their_members_are_documented(made: dict[str, Any]) -> None:
    forms = set()
    for name, one in made.items():
        document = json.loads(json.dumps(one.to_dict(), allow_nan=False))
        assert list(document)[:2] == ["format", "schema"], name
        assert document["schema"] == 1, name
        assert set(document) - {"format", "schema"} <= members_of(document["format"]), name
        if isinstance(one, Document):
            assert members_of(document["format"]) == set(document) - {"format", "schema"}, name
        forms.add(document["format"])
    assert len(forms) == len(made)


def test_an_uncertain_solution_states_its_risk_its_floors_and_its_allocation(made: dict[str, Any]) -> None:
    answer = made["UncertainSolution"]
    document = answer.to_dict()
    assert document["risk"] == {"kind": "CVaR", "share": 0.2}
    assert (document["value"], document["weights"]) == (answer.value, answer.weights.tolist())
    assert document["solution"] == answer.solution.to_dict()
    cands, _ = market()
    floor = (oa.total("promotion", by="campaign") >= {0: 0.5}).named("floor")
    base = problem(cands)
    held = oa.solve_uncertain(base.replace(subject_to=[*base.subject_to, floor]), hold={"floor": 0.9}, gap=1e-2)
    assert held.to_dict()["held"] == {
        "floor": [{"label": k, "share": share} for k, share in enumerate(held.held["floor"].tolist())]
    }
    quantile = oa.solve_uncertain(base, risk=oa.LowerQuantile(0.1), gap=1e-2).to_dict()
    assert (quantile["risk"], quantile["weights"]) == ({"kind": "LowerQuantile", "probability": 0.1}, None)


def test_numbers_that_json_cannot_represent_are_null(made: dict[str, Any]) -> None:
    document = made["DriftEffect"].to_dict()
    assert (document["before"], document["lower"], document["upper"]) == (None, None, 2.0)
    assert document["label"] == ["SE", "a"]
    drift = made["DriftReport"].to_dict()["drifts"][0]
    assert (drift["name"], drift["missing_now"]) == ("r", 1.0)


def test_the_statistics_of_a_watch_are_plain(made: dict[str, Any]) -> None:
    watch = oa.DriftWatch(made["Sketch"])
    stats = json.loads(json.dumps(watch.stats(), allow_nan=False))
    assert oa.Sketch.from_dict(stats["sketch"]).counts["r"].sum() == 0
    assert stats["drift"][0].keys() == made["Drift"].to_dict().keys() - {"format", "schema"}


def test_a_class_without_members_of_its_own_states_its_fields() -> None:
    @dataclass(frozen=True)
    class Point(Document, form="point", schema=3):
        x: float
        label: Any

    assert Point(np.inf, (1, "a")).to_dict() == {
        "format": "oasis_alloc.point", "schema": 3, "x": None, "label": [1, "a"],
    }  # fmt: skip
