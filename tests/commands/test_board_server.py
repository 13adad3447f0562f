"""The board's server: what it sends, whom it refuses, and messages of the command for bad input."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
from boards import ask, conflicting, served, source
from jobs import JOB, make_tables

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.commands.board.guards import refused
from oasis_alloc.commands.board.server import BoardServer, page_files
from oasis_alloc.commands.board.sources import read_source
from oasis_alloc.commands.board.state import Board
from oasis_alloc.errors import InputError


@pytest.fixture(scope="module")
def server() -> BoardServer:
    with served(Board([source(conflicting())])) as running:
        yield running


def test_the_page_and_its_files_are_served(server: BoardServer) -> None:
    status, headers, body = ask(server, "GET", "/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    text = body.decode()
    for name in page_files():
        status, headers, body = ask(server, "GET", name)
        assert status == 200
        assert int(headers["content-length"]) == len(body) > 0
    named = {part.split('"')[0] for part in text.split('href="')[1:]} | {
        part.split('"')[0] for part in text.split('src="')[1:]
    }
    assert {f"/{name}" for name in named if not name.startswith("#")} <= set(page_files())


def test_the_page_asks_nobody_else() -> None:
    for name, (body, _) in page_files().items():
        text = body.decode().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name
        assert len(text.splitlines()) <= 400, name


def test_the_json_is_served(server: BoardServer) -> None:
    status, headers, body = ask(server, "GET", "/api/overview", {"Sec-Fetch-Site": "same-origin"})
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["certificate"]["status"] == "RELAXED"
    assert ask(server, "GET", "/api/nothing")[0] == 404
    assert ask(server, "GET", "/../sources.py")[0] == 404
    assert ask(server, "HEAD", "/")[2] == b""
    own = {"Origin": server.url.rstrip("/"), "Content-Type": "application/json"}
    assert ask(server, "POST", "/api/undo", own, b"{}")[0] == 403
    assert ask(server, "POST", "/api/frontier", own, b"[1]")[0] == 400


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Host": "attacker.example"}, "Host header"),
        ({"Host": "attacker.example:{port}"}, "Host header"),
        ({"Host": "127.0.0.1:1"}, "Host header"),
        ({"Host": ""}, "Host header"),
        ({"Origin": "https://attacker.example"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Origin": "http://127.0.0.1:1"}, "origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
    ],
)
def test_other_sites_are_refused(server: BoardServer, headers: dict[str, str], words: str) -> None:
    given = {name: text.replace("{port}", str(server.server_port)) for name, text in headers.items()}
    status, _, body = ask(server, "GET", "/api/overview", given)
    assert status == 403
    assert words in json.loads(body)["error"]


def test_a_form_of_another_site_cannot_post(server: BoardServer) -> None:
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Origin": "http://attacker.example"},
        {"Content-Type": "application/x-www-form-urlencoded", "Origin": server.url.rstrip("/")},
    ):
        assert ask(server, "POST", "/api/limit", headers, b'{"limit": 1}')[0] == 403


def test_a_link_may_open_the_page_but_not_its_json(server: BoardServer) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "GET", "/", link)[0] == 200
    assert ask(server, "GET", "/api/overview", link)[0] == 403
    assert refused("GET", "/", {"host": "localhost:80", **link}, 80) is None


def test_bodies_are_limited_and_have_to_be_json(server: BoardServer) -> None:
    own = {"Content-Type": "application/json"}
    assert b"not JSON" in ask(server, "POST", "/api/frontier", own, b"{")[2]
    assert b"not JSON" in ask(server, "POST", "/api/frontier", own, b"[" * 100_000)[2]
    assert b"at most" in ask(server, "POST", "/api/frontier", {**own, "Content-Length": "99999999"})[2]
    assert ask(server, "GET", "/")[0] == 200  # it still answers


def test_it_listens_on_the_loopback_interface_alone(server: BoardServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_a_message(server: BoardServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--port 0"):
        BoardServer(Board([]), server.server_port)
    oa.solve(conflicting(), gap=1e-3, on_conflict="relax").save(tmp_path / "a.solution")
    assert main(["board", str(tmp_path / "a.solution"), "--port", str(server.server_port)]) == 2
    assert f"port {server.server_port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.toml", None, "there is no such file"),
        ("broken.solution", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", "neither a saved solution"),
        ("text.solution", b"no numbers", "neither a saved solution"),
        ("empty.toml", b"", "[candidates] must name a file"),
        ("broken.toml", b"maximize = ", "not valid TOML"),
    ],
)
def test_bad_files_are_messages(
    name: str, content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert main(["board", str(path), "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_damaged_solution_is_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.solution"
    oa.solve(conflicting(), gap=1e-3, on_conflict="relax").save(path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert main(["board", str(path), "--port", "0"]) == 2
    assert "damaged" in capsys.readouterr().err


def test_bad_options_are_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["board", "x.toml", "--port", "70000"]) == 2
    assert "0 to 65535" in capsys.readouterr().err
    assert main(["board", "x.toml", "--edit", "--out", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_jobs_and_problems_are_read_and_write_nothing(tmp_path: Path) -> None:
    make_tables(tmp_path)
    (tmp_path / "job.toml").write_text(
        JOB.format(solve='checkpoint = "here.checkpoint"', checks="", gates="", publish="")
    )
    before = sorted(path.name for path in tmp_path.rglob("*"))
    job = read_source(tmp_path / "job.toml")
    assert job.kind == "problem"
    assert job.solution is not None
    assert job.solution.status.name == "SOLVED"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    oa.write_reproduction(job.solution.problem, tmp_path / "a.reproduction", settings={"gap": 1e-4})
    again = read_source(tmp_path / "a.reproduction")
    assert again.solution is not None
    assert again.solution.value == pytest.approx(job.solution.value, rel=1e-3)


def test_the_command_serves_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    oa.solve(conflicting(), gap=1e-3, on_conflict="relax").save(tmp_path / "a.solution")
    seen: list[int] = []

    def once(server: BoardServer) -> None:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5):
            server.handle_request()
        seen.append(len(server.board.sources))
        raise KeyboardInterrupt

    monkeypatch.setattr(BoardServer, "serve_forever", once)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    path = str(tmp_path / "a.solution")
    assert main(["board", path, "--compare", path, "--port", "0", "--no-browser"]) == 0
    assert seen == [2]
    assert "http://127.0.0.1:" in capsys.readouterr().out
