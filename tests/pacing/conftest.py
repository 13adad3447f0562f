"""Stores for tests of the ledger: one server of each kind per process of the tests, a fresh ledger per test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ledgers import NOW
from servers import postgres_server, redis_server

import oasis_alloc as oa
from tests.support.paced import cands as cands
from tests.support.paced import policy as policy


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where a store is; parametrize indirectly with some of `ledgers.STORES`."""
    if request.param == "memory":
        return None
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue(request.param)


@pytest.fixture
def open_ledger(address: Any) -> Iterator[Callable[..., oa.Ledger]]:
    """Open the ledger of this test, as often as wanted."""
    name, opened = f"test_{secrets.token_hex(6)}", []

    def make(**options: Any) -> oa.Ledger:
        opened.append(oa.Ledger(address, **{"name": name, "clock": lambda: NOW, **options}))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()
