"""Connects this process to a Ray cluster, or starts Ray on this machine; and says what Ray's errors mean."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from oasis_alloc.errors import SolverError

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.engine import RayEngine

_PATIENCE = 10.0  # seconds until the port must accept a connection
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # RFC 9113, 3.4, with empty SETTINGS
_SETTINGS = b"\x04"  # type of the first frame of a server
_CHECK = (
    "Check that the cluster runs (`ray status` on its head node), that the address is host:port of the head node's GCS "
    "(6379 by default), that a firewall lets this machine reach it, and that versions of Ray and authentication tokens "
    "(RAY_AUTH_TOKEN) are the same."
)


def connect(engine: RayEngine) -> None:
    """Connect, if this process is not connected yet; `SolverError` within 30 seconds if the address does not answer."""
    import ray

    if ray.is_initialized():
        now = ray.get_runtime_context().gcs_address
        if engine.address not in (None, "auto", now):
            raise SolverError(
                f"RayEngine(address={engine.address!r}): this process is connected to the cluster at {now!r}. Leave "
                "out address=, or call ray.shutdown() first."
            )
        return
    if engine.address is None:
        ray.init(
            address="local", include_dashboard=False, log_to_driver=False,
            object_store_memory=engine.object_store_memory,
        )  # fmt: skip
        return
    if engine.address != "auto":
        _probe(engine.address)
    try:
        ray.init(address=engine.address, log_to_driver=False)
    except Exception as error:  # Ray has no common class for what can go wrong here
        raise SolverError(f"Ray at {engine.address!r} does not answer ({error}). {_CHECK}") from error


def resources(which: str) -> dict[str, float]:
    """What Ray says of `cluster_resources` or `available_resources`."""
    import ray

    found: dict[str, float] = getattr(ray, which)()
    return found


def first_answer(ref: Any) -> Any:
    """What a new actor has answered; `SolverError` if it has died instead."""
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayError as error:
        raise SolverError(
            f"an actor could not start ({reason_of(error)}). Check that oasis_alloc is installed on every node, and "
            "that nodes have the memory: actor_memory= reserves it."
        ) from error


def reason_of(error: Exception) -> str:
    """What an error of Ray says, in one line: of a failure to start, the last line is the error in the actor."""
    import ray

    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if isinstance(error, ray.exceptions.ActorDiedError) and "Error" in lines[-1] else lines[0]


def _probe(address: str) -> None:
    """Raise `SolverError` if no GCS listens at the address: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise SolverError(
            f"RayEngine(address={address!r}): expected host:port of the head node's GCS, such as '10.0.0.5:6379'. "
            "Addresses of Ray Client (ray://) are not supported: run this process on a node of the cluster."
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):  # without TLS, a GCS speaks HTTP/2 at once
                connection.sendall(_PREFACE)
                answer = connection.recv(9)
                if answer[3:4] != _SETTINGS:
                    raise OSError(f"it is not a GCS of Ray: it answered {answer!r}")
    except OSError as error:
        raise SolverError(f"no Ray cluster answers at {address!r} ({error}). {_CHECK}") from error
