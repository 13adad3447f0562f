"""A host service to copy: ranks candidates by the policy in a snapshot file, which may be replaced at any time.

    pip install ".[host]"                                        # in a checkout of oasis_alloc
    python examples/host_service/service.py                      # solves a small market first, and serves its policy
    python examples/host_service/service.py --snapshot /path/to/policy.safetensors --port 8080

    curl -s localhost:8080/ready
    curl -s localhost:8080/rank -H 'content-type: application/json' -d '{"ids": [0, 1, 2], "columns":
        {"relevance": [0.9, 0.5, 0.7], "promotion": [0, 0.2, 0]}, "user": {"market": "SE"}, "k": 2}'

`/health` says that the process lives, `/ready` that a policy is loaded and everything is compiled, `/metrics` is for
Prometheus. With several processes (`gunicorn --preload -k uvicorn.workers.UvicornWorker`) each has a store of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

import oasis_alloc as oa
from oasis_alloc.markets import month
from oasis_alloc.serving import telemetry


class RankRequest(BaseModel):
    """One user's candidates: ids, and for each column one number an id."""

    ids: list[int | str]
    columns: dict[str, list[float]]
    user: int | dict[str, Any] | None = None
    k: int | None = None


class RankResponse(BaseModel):
    """The slate, best first, the scores of all candidates, and the policy that both are of."""

    policy_id: str
    mode: str
    slate: list[int | str]
    scores: list[float]


def create_app(snapshot: Path, refresh: float = 1.0, staleness: oa.Staleness | None = None) -> FastAPI:
    """The service; `app.state.store` is its store."""
    store = oa.PolicyStore(snapshot, refresh=refresh, staleness=staleness)
    registry = prometheus_client.CollectorRegistry()
    telemetry.prometheus(store, registry)

    async def warm_up() -> None:
        """Compile before the first request, in a thread; where there is no snapshot yet, wait for one."""
        while not store.stats()["ready"]:
            try:
                await asyncio.to_thread(store.warmup, draws=False)
                # What imports and warm-up have made stays for ever: a full collection would stop the service for a
                # tenth of a second to find that out.
                gc.collect()
                gc.freeze()
            except oa.SnapshotError:
                await asyncio.sleep(refresh)
                store.refresh()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(warm_up())
        yield
        warming.cancel()
        store.close()

    app = FastAPI(title="oasis_alloc host", lifespan=lifespan)
    app.state.store = store

    @app.post("/rank")
    async def rank(request: RankRequest) -> RankResponse:
        # A decision takes microseconds: it runs here, in the event loop, rather than pay for a change of threads.
        columns = {name: np.array(column, np.float64) for name, column in request.columns.items()}
        with store.decide() as decision:  # one policy, whatever is swapped meanwhile
            policy = decision.policy
            items = policy.encode(request.ids)
            decision.unseen = int((items < 0).sum())
            scores = policy.score(items, columns, user=request.user)
            slate = policy.select(items, columns, user=request.user, k=request.k)
        return RankResponse(
            policy_id=policy.policy_id,
            mode=decision.mode,
            slate=[request.ids[i] for i in slate],
            scores=scores.tolist(),
        )

    @app.exception_handler(oa.InputError)
    async def wrong_input(_request: Any, error: Exception) -> Response:
        return Response(str(error), status_code=422, media_type="text/plain")

    @app.exception_handler(oa.SnapshotError)
    async def no_policy(_request: Any, error: Exception) -> Response:
        return Response(str(error), status_code=503, media_type="text/plain")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready")
    async def ready(response: Response) -> dict[str, Any]:
        stats = store.stats()
        response.status_code = 200 if stats["ready"] else 503
        return {name: stats[name] for name in ("ready", "policy_id", "mode", "age", "last_refused")}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(registry), media_type="text/plain; version=0.0.4")

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
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--refresh", type=float, default=1.0, help="seconds between two looks at the file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        snapshot = given.snapshot or demonstration(Path(folder))
        # A snapshot is verified by a thread, for which a request waits as long as this; 5 milliseconds by default.
        sys.setswitchinterval(0.0005)
        app = create_app(snapshot, given.refresh)
        uvicorn.run(
            app, host=given.host, port=given.port, log_level="warning", access_log=False,
            timeout_keep_alive=75,  # seconds: longer than clients keep what they do not use
        )  # fmt: skip


if __name__ == "__main__":
    main()
