"""A host service to copy: ranks candidates by the policy in a snapshot file, which may be replaced at any time.

    pip install ".[host]"                                        # in a checkout of oasis_alloc
    python examples/host_service/service.py                      # solves a small market first, and serves its policy
    python examples/host_service/service.py --snapshot /path/to/policy.safetensors --port 8080

    curl -s localhost:8080/ready
    curl -s localhost:8080/rank -H 'content-type: application/json' -d '{"ids": [0, 1, 2], "columns":
        {"relevance": [0.9, 0.5, 0.7], "promotion": [0, 0.2, 0]}, "user": {"market": "SE"}, "k": 2}'

`/health` says that the process lives, `/ready` that a policy is loaded, everything is compiled and requests are
answered, `/schema` what requests bring; `/metrics` is for Prometheus. Bodies, ids and slots have limits. With
`--admin-token` (or OASIS_ALLOC_ADMIN_TOKEN) there are `/admin/rollback` and `/admin/publish`. With several processes
(`gunicorn --preload -k uvicorn.workers.UvicornWorker`) each has a store of its own, and a roll-back is for all.

With `--plan plan.json --ledger ledger.db`, prices follow delivery (`delivery.py`): `/rank` counts what it shows and
returns the events that confirm it, `POST /events` takes them, `/delivery` has the outlook of every goal and `/` shows
it. Processes with the same ledger, a SQLite file or a server, keep the caps of the plan together.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hmac
import json
import math
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

import oasis_alloc as oa
from oasis_alloc import telemetry
from oasis_alloc.markets import month

MOST_BYTES = 1 << 20  # of a body
MOST_IDS = 10_000  # of a request, and slots
_INLINE = 1 << 15  # bytes of a body that is read in the event loop; a longer one is in a thread


class RankRequest(BaseModel):
    """One user's candidates: ids, and for each column one number an id."""

    ids: list[int | str | float]
    columns: dict[str, list[float]]
    user: int | dict[str, Any] | None = None
    k: int | None = None


class RankResponse(BaseModel):
    """The slate, best first, the scores of all candidates, the policy that both are of, and what confirms the slate."""

    policy_id: str
    mode: str
    slate: list[int | str | float]
    scores: list[float]
    events: list[dict[str, Any]] = []


class Malformed(ValueError):
    """A body that is no request, whatever the policy."""


class TooLarge(ValueError):
    """A body with more bytes than are read."""


async def body_of(request: Request) -> bytes:
    """The body, as far as it is allowed to be."""
    parts, size = [], 0
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or len(length) > 15 or int(length) > MOST_BYTES:
        raise TooLarge
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def rank_request(body: bytes) -> tuple[list[Any], dict[str, Any], Any, Any]:
    """(ids, columns, user, k) of a request, or the first thing that is wrong with it.

    By hand, rather than by a model: that would make an error of every id that is wrong, and an answer of all of them.
    """
    try:
        given = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
    except ValueError as error:  # of Unicode, too
        if "set_int_max_str_digits" in str(error):  # Python's advice is not for who sends a body
            raise Malformed("the body has a number of thousands of digits") from None
        raise Malformed(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(given, dict):
        raise Malformed("expected an object with ids, columns, user and k")
    for name in given:
        if name not in RankRequest.model_fields:
            raise Malformed(f"{name[:100]!r} is not known; expected {', '.join(RankRequest.model_fields)}")
    ids, columns, user, k = (given.get(name) for name in RankRequest.model_fields)
    if not isinstance(ids, list) or len(ids) > MOST_IDS:
        raise Malformed(f"ids: expected a list of up to {MOST_IDS:,}")
    if not set(map(type, ids)) <= {int, str, float}:
        at = next(i for i, one in enumerate(ids) if type(one) not in (int, str, float))
        raise Malformed(f"ids: entry {at} is neither a number nor a string")
    try:
        "".join(one for one in ids if type(one) is str).encode()
        is_sayable = all(math.isfinite(one) for one in ids if type(one) is float)
    except UnicodeEncodeError:
        is_sayable = False
    if not is_sayable:  # it could not be in the answer
        raise Malformed("ids: one of them is infinite, or is half of a character")
    if not isinstance(columns, dict) or len(columns) > MOST_IDS:
        raise Malformed("columns: expected an object of lists of numbers")
    numbers = {}
    for name, column in columns.items():
        if not isinstance(column, list) or not set(map(type, column)) <= {int, float}:
            raise Malformed(f"columns: {name[:100]!r} is not a list of numbers")
        try:
            numbers[name] = np.array(column, np.float64)
        except OverflowError:
            raise Malformed(f"columns: {name[:100]!r} has a number that is beyond float64") from None
    if not (user is None or type(user) in (int, dict)):
        raise Malformed("user: expected a number of the solve, an object of labels, or null")
    if not (k is None or (type(k) is int and k <= MOST_IDS)):
        raise Malformed(f"k: expected a whole number up to {MOST_IDS:,}, or null")
    return ids, numbers, user, k


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _text(status: int, message: str) -> Response:
    """An answer in plain text, also of what is no Unicode."""
    return Response(message.encode("utf-8", "backslashreplace"), status_code=status, media_type="text/plain")


def create_app(
    snapshot: Path, refresh: float = 1.0, staleness: oa.Staleness | None = None, admin_token: str | None = None,
    delivery: Any = None, trust: oa.Trust | None = None,
) -> FastAPI:  # fmt: skip
    """The service; `app.state.store` is its store. With a token there are /admin/rollback and /admin/publish.

    With a `delivery.Delivery`, prices follow what is delivered; with a `trust`, only signed policies are served.
    """
    # The only store here, so its numbers need no label; each of several has a name.
    store = oa.PolicyStore(snapshot, refresh=refresh, staleness=staleness, name="", trust=trust)
    registry = prometheus_client.CollectorRegistry()
    telemetry.prometheus(store, registry)
    if delivery is not None:
        registry.register(delivery)
    malformed = prometheus_client.Counter("host_malformed_requests", "Bodies that are no request", registry=registry)

    async def warm_up() -> None:
        """Compile before the first request, in a thread; where there is no snapshot yet, wait for one."""
        while store.stats()["not_ready"] in ("no policy", "not warm") or not is_paced():
            try:
                await asyncio.to_thread(store.warmup, draws=False)
                if delivery is not None:
                    await asyncio.to_thread(delivery.begin, store.policy)
                # What imports and warm-up have made stays for ever: a full collection would stop the service for a
                # tenth of a second to find that out.
                gc.collect()
                gc.freeze()
            except (
                oa.LedgerUnavailableError,
                oa.InputError,
            ) as error:  # no ledger yet, or no policy that fits the plan
                delivery.last_error = str(error)
                await asyncio.sleep(refresh)
            except oa.SnapshotError:
                await asyncio.sleep(refresh)
                await asyncio.to_thread(store.refresh)
        while delivery is not None:
            await asyncio.sleep(refresh)
            try:
                await asyncio.to_thread(delivery.follow, store.policy)
            except oa.InputError as error:  # a policy without prices of the plan: the last one goes on
                delivery.last_error = str(error)

    def is_paced() -> bool:
        return delivery is None or delivery.pacer is not None

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(warm_up())
        yield
        warming.cancel()
        if delivery is not None:
            await asyncio.to_thread(delivery.close)
        store.close()

    app = FastAPI(title="oasis_alloc host", lifespan=lifespan)
    app.state.store = store

    def answer(body: bytes) -> bytes:
        """Decide about one request."""
        ids, columns, user, k = rank_request(body)
        with store.decide() as decision:  # one policy, whatever is swapped meanwhile
            pacer = None if delivery is None else delivery.pacer
            if delivery is not None and pacer is None:
                raise oa.SnapshotError("the ledger of the plan has not been reached yet", "no policy")
            # Prices that follow delivery stay in force when the snapshot is old: the caps of the plan do not age.
            policy = decision.policy if pacer is None else pacer
            items = policy.encode(ids)
            decision.unseen = int((items < 0).sum())
            scores = policy.score(items, columns, user=user)
            slate = policy.select(items, columns, user=user, k=k)
            found: dict[str, Any] = {
                "policy_id": decision.policy.policy_id if pacer is None else pacer.policy.policy_id,
                "mode": decision.mode,
                "slate": [ids[i] for i in slate],
                "scores": scores.tolist(),
            }
            if delivery is not None:
                found["events"] = delivery.serve(pacer, slate, items, columns, user)
        return json.dumps(found, ensure_ascii=False, allow_nan=False).encode()

    schema = {"content": {"application/json": {"schema": RankRequest.model_json_schema()}}}

    @app.post("/rank", response_model=RankResponse, openapi_extra={"requestBody": schema})
    async def rank(request: Request) -> Response:
        body = await body_of(request)
        # A decision takes microseconds: it runs here, in the event loop, rather than pay for a change of threads.
        found = answer(body) if len(body) <= _INLINE else await asyncio.to_thread(answer, body)
        return Response(found, media_type="application/json")

    if delivery is not None:
        delivery.add_to(app, body_of)

    @app.exception_handler(Malformed)
    async def no_request(_request: Any, error: Exception) -> Response:
        malformed.inc()
        return _text(422, str(error))

    @app.exception_handler(TooLarge)
    async def too_large(_request: Any, _error: Exception) -> Response:
        malformed.inc()
        return _text(413, f"expected a body of up to {MOST_BYTES:,} bytes")

    @app.exception_handler(oa.InputError)
    async def wrong_input(_request: Any, error: Exception) -> Response:
        return _text(422, str(error))

    @app.exception_handler(oa.SnapshotError)
    async def no_policy(_request: Any, error: Exception) -> Response:
        return _text(503, str(error))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready")
    async def ready(response: Response) -> dict[str, Any]:
        stats = store.stats()
        is_ready = stats["ready"] and is_paced()
        response.status_code = 200 if is_ready else 503
        if stats["ready"] and not is_ready:
            stats |= {"ready": False, "not_ready": "no ledger"}
        return {name: stats[name] for name in ("ready", "not_ready", "policy_id", "mode", "age", "last_refused")}

    @app.get("/schema")
    async def schema_of_requests() -> dict[str, Any]:
        """What requests bring: columns, and the keys that users may have."""
        return store.policy.schema.to_dict()

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(registry), media_type="text/plain; version=0.0.4")

    def allowed(request: Request) -> bool:
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        return admin_token is not None and hmac.compare_digest(given, f"Bearer {admin_token}".encode())

    @app.post("/admin/rollback")
    async def rollback(request: Request) -> Response:
        """Go back to the policy before, in all processes of this snapshot."""
        if not allowed(request):
            return _text(403, "expected the token of --admin-token")
        policy = await asyncio.to_thread(store.rollback)
        return _text(200, policy.policy_id)

    @app.post("/admin/publish")
    async def publish(request: Request) -> Response:
        """Serve a file beside the snapshot, named by the body, though it is older or was rolled back."""
        if not allowed(request):
            return _text(403, "expected the token of --admin-token")
        name = (await body_of(request)).decode("utf-8", "replace")
        is_name = name != ".." and name == Path(name).name != "" and name.isprintable()
        if not is_name or not os.path.isfile(snapshot.with_name(name)):
            return _text(400, f"{name[:100]!r} is not there: expected the name of a file in the snapshot's folder")
        policy = await asyncio.to_thread(store.publish, snapshot.with_name(name))
        return _text(200, policy.policy_id)

    return app


def demonstration(folder: Path, users: int = 2000) -> Path:
    """A snapshot of a small solved market."""
    print(f"solving a market of {users:,} listeners ...", flush=True)
    solution = oa.solve(month(users=users, degree=50, campaigns=12).problem(), gap=1e-4)
    solution.policy(valid_for=7 * 24 * 3600).save(folder / "policy.safetensors")
    return folder / "policy.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshot", type=Path, help="the file to serve (default: that of a small solved market)")
    parser.add_argument("--trust", type=Path, nargs="*", help="public keys; --snapshot is then a signed manifest.json")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--refresh", type=float, default=1.0, help="seconds between two looks at the file")
    parser.add_argument("--admin-token", default=os.environ.get("OASIS_ALLOC_ADMIN_TOKEN"), help="allows /admin/...")
    parser.add_argument("--plan", type=Path, help="a plan, which prices then follow; needs --ledger")
    parser.add_argument("--ledger", help="a SQLite file, or the address of a server, that processes share")
    parser.add_argument("--sync", type=float, default=2.0, help="seconds between two looks at the ledger")
    given = parser.parse_args()
    if (given.plan is None) != (given.ledger is None):
        parser.error("--plan and --ledger go together")
    trust = None if given.trust is None else oa.Trust(given.trust)
    delivery = None
    if given.plan is not None:
        from delivery import Delivery, read_plan

        delivery = Delivery(read_plan(given.plan), given.ledger, sync=given.sync)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = given.snapshot or demonstration(Path(folder))
        # A snapshot is verified by a thread, for which a request waits as long as this; 5 milliseconds by default.
        sys.setswitchinterval(0.0005)
        app = create_app(snapshot, given.refresh, admin_token=given.admin_token or None, delivery=delivery, trust=trust)
        uvicorn.run(
            app, host=given.host, port=given.port, log_level="warning", access_log=False,
            timeout_keep_alive=75,  # seconds: longer than clients keep what they do not use
        )  # fmt: skip


if __name__ == "__main__":
    main()
