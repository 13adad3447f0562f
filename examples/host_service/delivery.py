"""Prices that follow delivery, for the host service: a pacer, the ledger that it shares, and what the host tells of it.

A plan is a JSON file; its labels are those of the policy:

    {"by": "campaign", "start": 1782864000, "end": 1785542400, "penalty": 0.5, "goals": [
        {"label": "campaign-001", "cap": 900, "floor": 800, "daily": 60}, {"label": "campaign-002", "cap": 400}]}
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import oasis_alloc as oa

MOST_EVENTS = 1_000  # of a body
_EVENT = ("id", "key", "time", "amount", "state")
_LIMITS = {"cap": "caps", "floor": "floors", "daily": "daily", "hourly": "hourly", "start": "starts", "end": "ends"}
_STATUSES = ("on track", "will fall short", "will run out", "stopped", "not started")
_log = logging.getLogger("host")


def read_plan(path: Path) -> oa.Plan:
    """The plan in a file, or `InputError` for what is wrong with it."""
    try:
        given = json.loads(path.read_text("utf-8"))
        goals, by = given.pop("goals"), given.pop("by")
        labels = [tuple(goal["label"]) if isinstance(goal["label"], list) else goal["label"] for goal in goals]
        for goal in goals:
            if unknown := set(goal) - {"label", *_LIMITS}:
                raise oa.InputError(f"{path}: a goal has {sorted(unknown)}; expected label, {', '.join(_LIMITS)}.")
        limits: dict[str, Any] = {
            name: {label: goal[key] for label, goal in zip(labels, goals, strict=True) if key in goal}
            for key, name in _LIMITS.items()
        }
        return oa.Plan(tuple(by) if isinstance(by, list) else by, given.pop("start"), given.pop("end"),
                       **{name: by_label for name, by_label in limits.items() if by_label}, **given)  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise oa.InputError(
            f"{path} is no plan ({type(error).__name__}: {error}); expected by, start, end and goals."
        ) from None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The events in the body of a request, or `ValueError` for the first thing that is wrong with their form."""
    try:
        given = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if "set_int_max_str_digits" in str(error):  # Python's advice is not for who sends a body
            raise ValueError("the body has a number of thousands of digits") from None
        raise ValueError(f"the body is not JSON: {str(error)[:200]}") from None
    events = given.get("events") if isinstance(given, dict) and set(given) == {"events"} else None
    if not isinstance(events, list) or len(events) > MOST_EVENTS:
        raise ValueError(f"expected an object with events, a list of up to {MOST_EVENTS:,}")
    for at, event in enumerate(events):
        if not isinstance(event, dict) or not set(event) <= set(_EVENT) or not {"id", "key", "time"} <= set(event):
            raise ValueError(f"event {at}: expected an object with id, key and time, and perhaps amount and state")
    return events


class Delivery:
    """One process's part in keeping a plan.

    A thread records what was served, reads the totals of all processes and moves prices, every `sync` seconds. Requests
    never wait for it: while the ledger is away, they are answered at the last prices, within what it has granted.
    """

    def __init__(
        self, plan: oa.Plan, ledger: str, *, sync: float = 2.0, schedule: Any = None,
        clock: Callable[[], float] = time.time, **pacer: Any,
    ) -> None:  # fmt: skip
        self.plan, self._address, self._every, self._clock = plan, ledger, sync, clock
        self._how = {"schedule": schedule, "confirm": True, "clock": clock} | pacer
        self.pacer: oa.Pacer | None = None
        self._former: oa.Pacer | None = None  # which may be serving a request still
        self.ledger: oa.Ledger | None = None
        self.events: Counter[str] = Counter()  # that came in, by what became of them
        self.last_error = ""
        self._failed = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, policy: oa.Policy) -> None:
        """Open the ledger, make the pacer and start the thread: once per process, after any fork.

        `LedgerUnavailableError` where the ledger cannot be reached: without it nobody knows what may be delivered.
        """
        if self.ledger is None:
            by = self.plan.goals[0].by
            labels = [goal.label for goal in self.plan.goals]
            self.ledger = oa.Ledger(self._address, by=by, groups=labels, clock=self._clock)
        pacer = oa.Pacer(policy, self.plan, ledger=self.ledger, **self._how)
        pacer.warmup()
        pacer.tick(self._clock())
        self.pacer = pacer
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def follow(self, policy: oa.Policy) -> None:
        """Go on with another policy, where there is one: prices and accounts stay, by label."""
        pacer = self.pacer
        if pacer is None or policy.policy_id == pacer.policy.policy_id:
            return
        following = pacer.replace(policy)
        following.warmup()
        following.tick(self._clock())
        self.pacer, self._former = following, pacer

    def serve(self, pacer: oa.Pacer, slate: Any, items: Any, columns: Any, user: Any) -> list[dict[str, Any]]:
        """Count a slate as served, and return the events that confirm it: one per goal that a showing counts for."""
        now, out = self._clock(), []
        name = f"{int(now * 1000):012x}{secrets.token_hex(8)}"  # ids that grow with time keep the ledger fast
        goals = pacer.plan.goals
        for place, position in enumerate(slate):
            used = pacer.usage([position], items, columns, user)
            for row, amount in zip(used.rows.tolist(), used.amounts.tolist(), strict=True):
                event = {"id": f"{name}-{place}-{row}", "key": goals[row].label, "time": now, "amount": amount}
                pacer.observe({goals[row].label: amount}, event=event["id"], time=now, status="served")
                out.append(event | {"state": "confirmed"})
        return out

    def take(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Store events, and say what became of them; when this returns, they are stored.

        They go to the ledger, and not to the pacer of this process: the slate may have been served by another one.
        """
        if self.ledger is None:
            raise oa.LedgerUnavailableError(self.last_error or "it has not been opened yet")
        found = [
            oa.Event(one["id"], tuple(one["key"]) if isinstance(one["key"], list) else one["key"], one["time"],
                     one.get("amount", 1.0), one.get("state", "confirmed"))
            for one in events
        ]  # fmt: skip
        try:
            receipt = self.ledger.record(found, on_bad="skip")
        except oa.LedgerUnavailableError as error:
            self.last_error = str(error)
            self.events["ledger unavailable"] += len(events)
            raise
        self.events["counted"] += receipt.counted
        self.events["repeated"] += receipt.repeated
        self.events["late"] += receipt.late
        self.events.update(bad.reason for bad in receipt.rejected)
        return {
            "counted": receipt.counted, "repeated": receipt.repeated, "late": receipt.late,
            "refused": [{"event": b.position, "reason": b.reason, "message": b.message} for b in receipt.rejected],
        }  # fmt: skip

    def add_to(self, app: FastAPI, body_of: Callable[[Request], Awaitable[bytes]]) -> None:
        """What a host with a plan also answers."""

        @app.post("/events")
        async def events(request: Request) -> Response:
            """Deliveries that were confirmed, or lost; stored when this answers."""
            body = await body_of(request)
            try:
                given = events_of(body)
            except ValueError as error:
                self.events["malformed"] += 1
                return _text(422, str(error))
            try:
                found = await asyncio.to_thread(self.take, given)
            except oa.LedgerUnavailableError as error:
                return _text(503, f"the ledger cannot be reached; send the same events again later ({error})")
            return Response(json.dumps(found), media_type="application/json")

        @app.get("/delivery")
        async def outlook() -> Response:
            """What every goal has delivered, will come to, and why; and how the ledger is doing."""
            return Response(json.dumps(self.report(), allow_nan=False), media_type="application/json")

        @app.get("/")
        async def page() -> Response:
            return Response(self.page(), media_type="text/html")

    def report(self) -> dict[str, Any]:
        """The outlook of every goal, and how the ledger is doing."""
        if self.pacer is None:
            return {"goals": [], "ledger": {"reachable": False, "last_error": self.last_error}}
        now, prices, stats = self._clock(), self.pacer.prices, self.pacer.stats()
        goals = [one.to_dict() | {"price": prices[one.label]} for one in self.pacer.outlook(now)]
        kept = ("failed_reads", "failed_in_a_row", "queued_events", "refused_events")
        return {
            "now": now, "policy_id": self.pacer.policy.policy_id, "goals": goals,
            "ledger": {"reachable": stats["failed_in_a_row"] == 0, **{name: stats[name] for name in kept},
                       "last_error": stats["last_error"] or self.last_error, "replicas": len(self.pacer.replicas())},
            "events": dict(self.events),
        }  # fmt: skip

    def page(self) -> str:
        """The report as a page."""
        found = self.report()
        names = ("label", "delivered", "confirmed", "pending", "planned", "pace", "projected", "low", "high", "price",
                 "status", "amount", "reason")  # fmt: skip
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_shown(goal[name]))}</td>" for name in names) + "</tr>"
            for goal in found["goals"]
        )
        ledger = html.escape(", ".join(f"{name}: {value}" for name, value in found["ledger"].items()))
        return (
            "<!doctype html><html lang='en'><meta charset='utf-8'><meta http-equiv='refresh' content='10'>"
            "<title>Delivery</title><style>body{font:14px system-ui;margin:2em}td,th{padding:.2em .6em}"
            f"</style><h1>Delivery</h1><table><tr>{head}</tr>{rows}</table><p>Ledger: {ledger}</p></html>"
        )

    def collect(self) -> Iterator[Any]:
        """Metrics for Prometheus; no label is an id of a campaign, of which there is no bound."""
        found = self.report()
        events = CounterMetricFamily("host_events", "Events that came in, by what became of them", labels=["result"])
        for result, number in sorted(self.events.items()):
            events.add_metric([result], number)
        yield events
        goals = GaugeMetricFamily("host_goals", "Goals of the plan, by what they will come to", labels=["status"])
        statuses = Counter(goal["status"] for goal in found["goals"])
        for status in _STATUSES:
            goals.add_metric([status], statuses[status])
        yield goals
        pace = GaugeMetricFamily("host_delivery_pace", "Delivered over planned, by quantile", labels=["quantile"])
        paces = [goal["pace"] for goal in found["goals"] if goal["pace"] is not None]
        for quantile in (0.0, 0.1, 0.5, 0.9, 1.0) if paces else ():
            pace.add_metric([str(quantile)], float(np.quantile(paces, quantile)))
        yield pace
        ledger = found["ledger"]
        yield GaugeMetricFamily(
            "host_ledger_reachable", "1 if the ledger answered last", value=float(ledger["reachable"])
        )
        yield CounterMetricFamily("host_ledger_failures", "Failed reads", value=ledger.get("failed_reads", 0))
        yield GaugeMetricFamily("host_ledger_queue", "Events to be recorded", value=ledger.get("queued_events", 0))

    def close(self) -> None:
        """Record what is queued, and give the rest of the allowance back."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(30)
        if self.pacer is not None:
            self.pacer.close()
        if self.ledger is not None:
            self.ledger.close()

    def _run(self) -> None:
        last_compaction = -math.inf
        while not self._ending.wait(self._every):
            try:
                pacer, now = self.pacer, self._clock()
                assert pacer is not None
                assert self.ledger is not None
                if pacer.sync() and now - last_compaction > 3600.0:
                    last_compaction = now
                    self.ledger.compact(limit=100_000)
                pacer.tick(now)
                if self._former is not None and self._former.sync():
                    self._former = None
            except Exception as error:  # one bad round must not end all that follow
                self._failed += 1
                self.last_error = f"{type(error).__name__}: {error}"
                _log.exception("a round of the delivery thread failed")


def _text(status: int, message: str) -> Response:
    return Response(message.encode("utf-8", "backslashreplace"), status_code=status, media_type="text/plain")


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
