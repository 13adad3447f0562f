"""The host in plain Java reads the same snapshots and answers the golden vectors to the last bit."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headers import with_header
from jvm_host import GOLDEN, ROOT, lines, run, run_source
from policies import CERTIFICATE, CREATED, small

import oasis_alloc as oa
from oasis_alloc.errors import SnapshotError
from oasis_alloc.serving.data import Known, PolicyData, PriceTerm, SlateRule
from oasis_alloc.serving.file.codec import decode, encode
from oasis_alloc.serving.file.container import from_bytes, to_bytes

VECTORS = "oasisalloc.Vectors"
NAMES = ["plain", "columns", "rules", "keep", "calibrated"]


def test_same_scores_and_slates() -> None:
    done = run(VECTORS, *(GOLDEN / f"{name}.{kind}" for name in NAMES for kind in ("safetensors", "json")))
    assert done.returncode == 0, done.stderr
    said = re.findall(r"(\d+) scores and (\d+) slates, 0 wrong", done.stdout)
    requests = [json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["requests"] for name in NAMES]
    assert said == [(str(sum(len(r["ids"]) for r in each)), str(len(each))) for each in requests]


def test_an_overlay_changes_prices_and_one_for_another_policy_is_refused() -> None:
    done = run(VECTORS, GOLDEN / "columns.safetensors", GOLDEN / "overlay.json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"policy \w{16}[+]17: \d+ scores and \d+ slates, 0 wrong", done.stdout)
    done = run(VECTORS, GOLDEN / "plain.safetensors", GOLDEN / "overlay.json")
    assert done.returncode == 3
    assert "another policy" in done.stderr


def test_a_wrong_answer_and_a_tampered_file_are_noticed(tmp_path: Path) -> None:
    text = (GOLDEN / "plain.json").read_text(encoding="utf-8")
    vectors = json.loads(text)
    answered = next(request for request in vectors["requests"] if len(request["slate"]) > 1)
    answered["scores"][0] = (float.fromhex(answered["scores"][0]) * (1 + 2**-52)).hex()
    answered["slate"].reverse()
    (tmp_path / "wrong.json").write_text(json.dumps(vectors), encoding="utf-8")
    raw = bytearray((GOLDEN / "plain.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "tampered").write_bytes(raw)
    good = GOLDEN / "plain.safetensors"
    done = run(VECTORS, good, tmp_path / "wrong.json", tmp_path / "tampered", tmp_path / "wrong.json")
    assert ", 2 wrong" in done.stdout
    assert re.search(r"score 0x1\.\w+p\S+, expected 0x1\.", done.stderr)
    assert re.search(r"slate \[.*\], expected \[", done.stderr)
    assert done.returncode == 3
    assert "refused: tampered" in done.stderr


LABELS: dict[str, tuple[Any, ...]] = {
    "int": (-1, 0, 1, 2**53 + 1),
    "uint": (0, 1, 2**64 - 1),
    "float": (0.0, 0.1, 1.0, 2.0**53),
    "bool": (False, True),
    "str": ("1", "2026-01-02", "2026-01-02T10:30:00.500000+00:00", "true"),
}
EQUAL: dict[str, dict[str, Any]] = {  # what a label of a request is equal to, by docs/labels.md
    "Integer 1": {"int": 1, "uint": 1, "float": 1.0},
    "Long 1": {"int": 1, "uint": 1, "float": 1.0},
    "Short 1": {"int": 1, "uint": 1, "float": 1.0},
    "Byte 1": {"int": 1, "uint": 1, "float": 1.0},
    "AtomicInteger 1": {"int": 1, "uint": 1, "float": 1.0},
    "BigInteger 1": {"int": 1, "uint": 1, "float": 1.0},
    "StringBuilder 1": {"str": "1"},
    "Character 1": {"str": "1"},
    "enum": {},
    "Double 1.0": {"int": 1, "uint": 1, "float": 1.0},
    "BigDecimal 1.00": {"int": 1, "uint": 1, "float": 1.0},
    "true": {"bool": True},
    "false": {"bool": False},
    "0": {"int": 0, "uint": 0, "float": 0.0},
    "-0.0": {"int": 0, "uint": 0, "float": 0.0},
    "text 1": {"str": "1"},
    "text 1.0": {},
    "0.1": {"float": 0.1},
    "BigDecimal 0.1": {"float": 0.1},
    "float 0.1": {},
    "2^53 + 1": {"int": 2**53 + 1},
    "double 2^53 + 1": {"float": 2.0**53},
    "2^64 - 1": {"uint": 2**64 - 1},
    "-1": {"int": -1},
    "NaN": {},
    "infinity": {},
    "1e999999999": {},
    "null": {},
    "date": {"str": "2026-01-02"},
    "midnight": {"str": "2026-01-02"},
    "instant": {"str": "2026-01-02T10:30:00.500000+00:00"},
}
WORDS = {
    "created": str(CREATED), "validUntil": str(CREATED + 3600), "isExpired": "false true",
    "userKeys": "[daypart, market]", "known key": "3", "ignoredKeys": "{daypart=1}",
    "earlier key before": "do not have a key 'daypart'", "earlier key": "1", "counted earlier key": "{daypart=1}",
    "misspelt earlier key": "do not have a key 'dayprt'",
    "misspelt key": "do not have a key 'markt'; known: market, daypart", "user 9": "expected a number in [0, 4)",
    "ids of another type": "-1 1", "ids of two types": "-1 1", "a label of another type": "3 2",
    "user 1.5": "is not a number", "user text": "expected a number, {key: label} or null", "user 3": "3",
    "missing column": "'streams' is missing; there are [relevance]", "short column": "has 2 numbers; expected 1",
    "item out of range": "entry 1 is 5; expected numbers in [0, 5)", "item below -1": "entry 0 is -2",
    "not finite": "'relevance': entry 1 is NaN", "beyond a double": "entry 1: the score is beyond a double",
    "another policy's user": "made by another policy", "k": "2", "k -1": "k -1; expected a number of slots",
    "item twice": "item 1 appears twice", "pinned 2": "pinned: 2; expected distinct positions",
    "both": "position 1 is pinned and excluded",
    "null items": "items: null; expected", "null columns": "columns: null; expected", "null ids": "ids: null; expected",
    "null options": "options: null; expected", "null options of a ranking": "options: null; expected",
    "null options of a reason": "options: null; expected", "null items of a reason": "items: null; expected",
    "null columns of a reason": "columns: null; expected", "null numbers": "'relevance' is null; expected 2 numbers",
    "null user": "another policy", "null pinned": "pinned: null; expected",
    "null exclude": "exclude: null; expected", "null column": "is missing; there are [null]",
}  # fmt: skip


ARRAYS, HEADER = encode(small())


def array(name: str, at: int, value: float) -> bytes:
    """The small policy with one number of an array changed, and a right checksum."""
    changed = ARRAYS[name].copy()
    changed.flat[at] = value
    return to_bytes({**ARRAYS, name: changed}, HEADER)


def cut(name: str) -> bytes:
    """With an array that is one entry short."""
    return to_bytes({**ARRAYS, name: ARRAYS[name][:-1]}, HEADER)


def document(change: Callable[[Any], Any]) -> bytes:
    """With another document."""
    of = json.loads(HEADER["policy"])
    change(of)
    return to_bytes(ARRAYS, {**HEADER, "policy": json.dumps(of, separators=(",", ":"))})


FORGED: dict[str, bytes] = {
    "a label's code below all": array("item_keys/0/codes", 0, -(2**31)),
    "a label's code below -1": array("item_keys/0/codes", 0, -2),
    "a label's code beyond the labels": array("item_keys/0/codes", 0, 2),
    "a list with a code of -1": array("item_keys/1/codes", 0, -1),
    "a list with a code beyond the labels": array("item_keys/1/codes", 5, 3),
    "a list that starts below 0": array("item_keys/1/indptr", 0, -1),
    "a list that runs back": array("item_keys/1/indptr", 1, 6),
    "a list beyond its codes": array("item_keys/1/indptr", -1, 2**40),
    "lists of fewer items": cut("item_keys/1/indptr"),
    "codes of fewer items": cut("item_keys/0/codes"),
    "a rank that comes twice": array("rank", 0, int(ARRAYS["rank"][1])),
    "a rank below 0": array("rank", 0, -1),
    "a rank beyond the items": array("rank", 0, 2**62),
    "ranks of fewer items": cut("rank"),
    "a segment below 0": array("segment_of_user", 0, -1),
    "a segment beyond the rows": array("segment_of_user", 0, 3),
    "a user's code below -1": array("segments", 0, -2),
    "a user's code beyond the labels": array("segments", 0, 2),
    "segments in one row": to_bytes({**ARRAYS, "segments": ARRAYS["segments"].ravel()}, HEADER),
    "segments twice as wide": to_bytes({**ARRAYS, "segments": np.zeros((3, 2), np.int32)}, HEADER),
    "no segments": to_bytes({name: a for name, a in ARRAYS.items() if name != "segments"}, HEADER),
    "a group below 0": array("terms/0/groups", 0, -1),
    "a group beyond the labels": array("terms/0/groups", -1, 99),
    "groups that descend": to_bytes({**ARRAYS, "terms/0/groups": ARRAYS["terms/0/groups"][::-1].copy()}, HEADER),
    "a price too few": cut("terms/0/price"),
    "two prices without keys": to_bytes(
        {**ARRAYS, "terms/2/groups": np.zeros((2, 0), np.int32), "terms/2/price": np.zeros(2)}, HEADER
    ),
    "a text that ends before it begins": array("items/ends", 1, -1),
    "a text beyond the bytes": array("items/ends", -1, 2**33),
    "a text that is no UTF-8": array("items/text", 0, 0xFF),
    "a text that begins within a character": array("items/ends", 3, 3),
    "an id that comes twice": array("items/text", 0, int(ARRAYS["items/text"][1])),
    "a label that comes twice": array("item_keys/0/labels", 0, int(ARRAYS["item_keys/0/labels"][1])),
    "ids of fewer items": cut("items/ends"),
    "decrements that fall": array("slate/diminishing/0", 0, 1e9),
    "decrements below 0": array("slate/diminishing/0", 0, -1.0),
    "decrements of nothing": to_bytes({**ARRAYS, "slate/diminishing/0": np.zeros(0)}, HEADER),
    "no slots": document(lambda of: of["slate"].update(size=0)),
    "slots beyond what is counted": document(lambda of: of["slate"].update(size=2**31)),
    "more at least than slots": document(lambda of: of["slate"].update(at_least=99)),
    "at least fewer than none": document(lambda of: of["slate"].update(at_least=-1)),
    "a cap of an unknown key": document(lambda of: of["slate"].update(at_most=[["mood", 1]])),
    "a cap of nothing": document(lambda of: of["slate"].update(at_most=[["genre", 0]])),
    "a cap that comes twice": document(lambda of: of["slate"].update(at_most=[["genre", 1], ["genre", 2]])),
    "a share above 1": document(lambda of: of["slate"].update(keep=["relevance", 1.5])),
    "a share of an unknown column": document(lambda of: of["slate"].update(keep=["mood", 0.5])),
    "items fewer than none": document(lambda of: of.update(n_items=-1)),
    "items more than there are": document(lambda of: of.update(n_items=6)),
    "a weight of an unknown column": document(lambda of: of.update(weights=[["mood", 1.0]])),
    "a column that comes twice": document(lambda of: of.update(columns=of["columns"] * 2)),
    "an unknown organic column": document(lambda of: of.update(organic="mood")),
    "a key of users and of items": document(lambda of: of["user_keys"][0].update(name=of["item_keys"][0]["name"])),
    "a term of an unknown key": document(lambda of: of["terms"][0].update(keys=["mood"])),
    "a term with a key on the wrong side": document(
        lambda of: of["terms"][0].update(item_keys=of["terms"][0]["user_keys"], user_keys=of["terms"][0]["item_keys"])
    ),
    "known keys that lack one": document(lambda of: of["known"].update(user_keys=[])),
    "a policy_id of another line": to_bytes(ARRAYS, {**HEADER, "policy_id": "p\nq"}),
    "a constraint beyond the labels": array("constraints/0/groups", 0, 99),
    "a constraint of an unknown term": document(lambda of: of["constraints"][0].update(terms=[[9, 1.0]])),
    "a constraint of a term with other keys": document(lambda of: of["constraints"][0].update(terms=[[1, 1.0]])),
    "columns that are not read first": document(lambda of: of["columns"].insert(0, "mood")),
    "known keys that lack one of items": document(lambda of: of["known"].update(item_keys=[])),
    "an array that belongs to nothing": to_bytes({**ARRAYS, "more": np.zeros(1)}, HEADER),
    "a schema with a sign": to_bytes(ARRAYS, {**HEADER, "schema": "+2"}),
    "a certificate of a text": to_bytes(
        ARRAYS, {**HEADER, "certificate": HEADER["certificate"].replace('"value":1.5', '"value":"x"')}
    ),
    "a certificate of nothing": to_bytes(ARRAYS, {**HEADER, "certificate": "{}"}),
    "a time that never comes": to_bytes(ARRAYS, {**HEADER, "created": "NaN"}),
    "an end that never comes": to_bytes(ARRAYS, {**HEADER, "valid_until": "inf"}),
}  # fmt: skip


def of_every_kind() -> PolicyData:
    """The k-th label of a key costs k + 1."""
    terms = [
        PriceTerm(None, (key,), (), (key,), np.arange(len(of), dtype=np.int32)[:, None], 1.0 + np.arange(len(of)))
        for key, of in LABELS.items()
    ]
    data = PolicyData(
        policy_id="labels", created=CREATED, valid_until=None, certificate=CERTIFICATE, columns=("r",),
        weights=(("r", 1.0),), terms=tuple(terms), constraints=(), n_items=1, items=None, rank=None, item_keys={},
        user_keys=LABELS, segments=np.full((1, len(LABELS)), -1, np.int32), slate=SlateRule(1), organic="r",
        known=Known(tuple(LABELS), ()),
    )  # fmt: skip
    return data.check()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the service of another package prints."""
    folder = tmp_path_factory.mktemp("snapshots")
    oa.Policy(of_every_kind()).save(folder / "labels")
    oa.Policy(small()).save(folder / "small")
    spaced = with_header(to_bytes(ARRAYS, HEADER), lambda _described: None, separators=(", ", " : "))
    for name, raw in {**FORGED, "intact": to_bytes(ARRAYS, HEADER), "with spaces": spaced}.items():
        (folder / name).write_bytes(raw)
    snapshots = [str(folder / name) for name in ("labels", "small", *FORGED, "intact", "with spaces")]
    return lines(run("service.Check", *snapshots))


@pytest.mark.parametrize("label", EQUAL)
def test_labels_are_equal_by_type_as_the_page_on_labels_says(said: dict[str, str], label: str) -> None:
    for kind, of in LABELS.items():
        equal = EQUAL[label].get(kind)
        expected = 0.0 if equal is None else 1.0 + of.index(equal)
        assert float(said[f"{kind} {label}"]) == expected, kind


@pytest.mark.parametrize("kind", LABELS)
def test_types_that_cannot_be_labels_are_refused_by_name(said: dict[str, str], kind: str) -> None:
    for name, type_ in (("list", "List"), ("legacy date", "Date"), ("optional", "Optional"), ("bytes", "byte[]")):
        assert said[f"{kind} {name}"].startswith(f"refused: a label cannot be of type {type_}")


@pytest.mark.parametrize("name", WORDS)
def test_a_service_of_another_package_is_told_what_is_wrong(said: dict[str, str], name: str) -> None:
    assert WORDS[name] in said[name]
    told = name not in (
        "created", "validUntil", "isExpired", "userKeys", "known key", "ignoredKeys", "earlier key",
        "counted earlier key", "user 3", "k", "ids of another type", "ids of two types", "a label of another type",
    )  # fmt: skip
    assert said[name].startswith("refused: ") == told


@pytest.mark.parametrize("name", FORGED)
def test_forged_content_is_refused_by_both_readers(said: dict[str, str], name: str) -> None:
    with pytest.raises(SnapshotError):
        decode(*from_bytes(FORGED[name]))
    assert said[name].startswith("refused: "), said[name]


@pytest.mark.parametrize("name", ["intact", "with spaces"])
def test_the_same_content_as_any_json_is_served(said: dict[str, str], name: str) -> None:
    assert said[name] == "loaded"


@pytest.mark.full
def test_the_code_of_the_readme_runs(tmp_path: Path) -> None:
    """All blocks, one after the other, as the main method of a class of another package."""
    terms = (PriceTerm(None, ("hour",), (), ("hour",), np.array([[0]], np.int32), np.array([0.25])),)
    policy = replace(
        of_every_kind(), columns=("relevance", "promotion"), weights=(("relevance", 1.0), ("promotion", 0.5)),
        terms=terms, n_items=2, created=time.time(), items=("track-07", "track-31"),
        user_keys={"market": ("SE",), "hour": (7,)}, segments=np.full((1, 2), -1, np.int32), slate=SlateRule(2),
        organic="relevance", known=Known(("market", "hour"), ()),
    )  # fmt: skip
    oa.Policy(policy.check()).save(tmp_path / "policy.safetensors")
    page = (ROOT / "examples" / "jvm-host" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```java\n(.*?)```", page, re.DOTALL)
    code = (
        "".join(blocks)
        .replace("import oasisalloc.*;", "")
        .replace("policy.safetensors", f"{tmp_path}/policy.safetensors")
        .replace('Path.of("sketch.json")', f'Path.of("{tmp_path}/sketch.json")')
        .replace('Path.of("decisions")', f'Path.of("{tmp_path}/decisions")')
    )
    assert len(blocks) == 4
    sketch = oa.Sketch.of({"relevance": [0.5, 0.9]}, labels={"market": ["SE"]})
    (tmp_path / "sketch.json").write_text(json.dumps(sketch.to_dict()), encoding="utf-8")
    known = (
        'String key = "a secret", requestId = "r1", userId = "u1"; List<String> ids = List.of("track-07", "track-31");'
        'Map<String, Object> labels = Map.of("market", "SE");'
    )
    (tmp_path / "Page.java").write_text(
        "import java.nio.file.Path; import java.util.*; import oasisalloc.*;\n"
        f"public class Page {{ public static void main(String[] a) throws Exception {{ {known} {code}\n"
        'System.out.println("scores = " + Arrays.toString(scores) + "\\nslate = " + Arrays.toString(slate));'
        'System.out.println("shown = " + Arrays.toString(shown) + "\\nreasons = " + why.reasons().size());'
        'System.out.println("metrics = " + metrics.contains("oasis_alloc_decisions_total"));'
        "store.close(); log.close(); }}",
        encoding="utf-8",
    )  # fmt: skip
    said = lines(run_source(tmp_path / "Page.java"))
    assert said == {
        "scores": "[0.65, 1.0]", "slate": "[1, 0]", "shown": "[1, 0]", "reasons": "2", "metrics": "true"
    }  # fmt: skip


@pytest.mark.full
def test_deep_json_is_refused(tmp_path: Path) -> None:
    deep = b'{"__metadata__":{"checksum":"' + b"0" * 64 + b'"},"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    deep += b" " * (-len(deep) % 8)
    raw = len(deep).to_bytes(8, "little") + deep
    (tmp_path / "forged").write_bytes(raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode()))
    (tmp_path / "damaged").write_bytes(raw)
    for name, words in (("forged", "JSON is deeper than 64"), ("damaged", "refused: not a snapshot")):
        done = run(VECTORS, tmp_path / name, GOLDEN / "plain.json")
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr
    done = run(VECTORS, Path("/dev/zero"), GOLDEN / "plain.json")
    assert (done.returncode, "not a regular file" in done.stderr) == (3, True)
