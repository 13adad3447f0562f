"""The store in Java does what the store in Python does, command by command, and swaps under load change no answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from effort import full_only
from jvm_host import lines, run
from jvm_store import REQUEST, Both, JavaStore, java_store
from policies import CREATED, small

import oasis_alloc as oa
from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.file.codec import encode
from oasis_alloc.serving.file.container import to_bytes

ASK = json.dumps(REQUEST)


@pytest.fixture(scope="module")
def script() -> Iterator[JavaStore]:
    with java_store() as found:
        yield found


@pytest.fixture
def both(script: JavaStore, tmp_path: Path) -> Both:
    """A store in each language, not open yet, and a clock that shows when the first policy is created."""
    found = Both(script, tmp_path)
    found.clock(CREATED)
    return found


def policy(created: float = CREATED, shift: float = 0.0, valid_until: float | None = None) -> PolicyData:
    return replace(small(created, shift), valid_until=valid_until)


def snapshot(created: float = CREATED, shift: float = 0.0, valid_until: float | None = None) -> bytes:
    return to_bytes(*encode(policy(created, shift, valid_until)))


def overlay(policy_id: str, sequence: int, price: float = 0.5) -> str:
    return oa.Overlay(policy_id, CREATED, sequence, ((0, 1, price),), ((0, 1, price),)).to_json()


def test_every_level_of_staleness_has_the_same_scores(both: Both) -> None:
    both.put("policy", snapshot())
    both.open()
    modes = []
    for age in (-5.0, 0.0, 9.99, 10.0, 20.0, 24.9, 25.0, 30.0, 35.0, 39.9, 40.0, 1e6):
        both.clock(CREATED + age)
        modes.append(both.do("request", ASK)["policy_id"].partition("~")[2])
    assert modes == ["", "", "", "", "0.800", "0.800", "0.600", "0.400", "0.200", "0.200", "organic", "organic"]


def test_an_overlay_holds_until_a_newer_one_and_ages_with_its_policy(both: Both) -> None:
    both.put("policy", snapshot())
    both.open()
    identity = both.do("policy")
    assert both.do("apply", overlay(identity, 3)) is True
    assert both.do("request", ASK)["policy_id"] == f"{identity}+3"
    assert both.do("apply", overlay(identity, 3, 0.7)) is False
    assert both.do("apply", overlay("another", 9)) == "refused: another policy"
    both.clock(CREATED + 30.0)
    assert both.do("request", ASK)["policy_id"] == f"{identity}+3~0.400"
    assert both.do("apply", overlay(identity, 4, 1.0)) is True
    both.put("policy", snapshot(CREATED + 20.0, 0.5))
    assert both.do("refresh") is True
    assert "+" not in both.do("request", ASK)["policy_id"]


def test_roll_back_and_publish_hold_after_a_restart(both: Both) -> None:
    both.open()
    assert both.do("request", ASK) == "refused: no policy"
    for k in range(3):
        both.put("policy", snapshot(CREATED + k, 0.1 * k))
        assert both.do("refresh") is True
        assert both.do("refresh") is False
    third = both.do("policy")
    second = both.do("rollback")
    assert second != third
    both.open()
    assert both.do("policy") == second
    both.put("older", snapshot(CREATED, 0.0))
    both.put("damaged", snapshot(CREATED, 0.0)[:-1])
    assert both.publish("damaged").startswith("refused: t")
    first = both.publish("older")
    assert first not in (second, third)
    both.open()
    assert both.do("policy") == first


def test_what_is_refused_and_why(both: Both, script: JavaStore) -> None:
    both.put("policy", snapshot())
    both.open()
    refused = {
        "expired": snapshot(CREATED + 10, 1.0, CREATED - 1), "in the future": snapshot(CREATED + 1000, 1.1),
        "older": snapshot(CREATED - 10, 1.2), "truncated": snapshot()[:5], "tampered": snapshot()[:-1] + b"\1",
    }  # fmt: skip
    for reason, raw in refused.items():
        both.put("policy", raw)
        assert both.do("refresh") is False
        assert both.do("refresh") is False
        assert script.do("stats")["last_refused"]["reason"] == reason
    both.put("policy", snapshot(CREATED + 1000, 1.1, CREATED + 2000))
    assert both.do("refresh") is False
    both.clock(CREATED + 900)  # now it is near enough
    assert both.do("refresh") is True
    both.clock(CREATED + 2000)
    assert both.do("policy").endswith("~organic")


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", [*range(3), *full_only(*range(100, 160))])
def test_random_commands(both: Both, seed: int) -> None:
    """Policies of any age, damaged ones, and every command, in any order."""
    rng, now = np.random.default_rng(seed), CREATED
    both.open()
    for step in range(40):
        match rng.choice(["put", "put", "put", "clock", "rollback", "publish", "apply", "open", "ask"]):
            case "put":
                created = now + float(rng.integers(-8, 3)) if rng.random() < 0.9 else now + 1000.0
                until = None if rng.random() < 0.7 else created + float(rng.integers(1, 30))
                raw = snapshot(created, 0.1 * float(rng.integers(0, 5)), until)
                both.put("policy", raw if rng.random() < 0.9 else raw[: rng.integers(0, len(raw))])
                both.do("refresh")
            case "clock":
                now += float(rng.integers(0, 12))
                both.clock(now)
                both.do("refresh")
            case "publish":
                both.put("other", snapshot(now - float(rng.integers(0, 40)), 0.1 * float(rng.integers(0, 5))))
                both.publish("other")
            case "apply":
                identity = both.do("policy")
                identity = content_id({}) if identity.startswith("refused") else identity.partition("~")[0]
                both.do("apply", overlay(identity.partition("+")[0], step // 2, float(rng.random())))
            case "open":
                both.open()
            case "ask":
                both.do("request", ASK)
            case command:
                both.do(str(command))


@pytest.mark.full
def test_swaps_and_roll_backs_under_load_change_no_answer(tmp_path: Path) -> None:
    files, now = [], time.time()
    for k in range(8):
        files.append(tmp_path / f"policy-{k}")
        oa.Policy(policy(now, 0.125 * k)).save(files[-1])
    found = lines(run("oasisalloc.SwapLoad", "20", "2", tmp_path / "policy", *files))
    assert found["wrong"] == "0"
    assert found["failed"] == "{input=0, error=0, no policy=0}"
    assert found["decisions"] == found["answers"]
    assert int(found["answers"]) > 1_000
    assert int(found["loaded"]) >= 20
    assert int(found["rollbacks"]) >= 1
    assert int(found["policies"]) == 8
