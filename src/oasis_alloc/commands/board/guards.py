"""Which requests are answered: those of this machine's own page, and of no other site."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response: nothing is loaded from elsewhere, and no page elsewhere may show or read this one."""


def refused(method: str, path: str, headers: Mapping[str, str], port: int) -> str | None:
    """Why a request is refused, or None. `headers` are by name in lower case.

    - `Host` has to be a name of this machine's loopback interface with the board's port: a page of another site that
      makes its own name point to 127.0.0.1 (DNS rebinding) sends its own name.
    - `Origin`, which browsers send with every request of a page's script to another site and with every POST, has to be
      the board's own.
    - `Sec-Fetch-Site` has to be the board's own for everything but the page itself, which a link may open.

    >>> refused("GET", "/", {"host": "127.0.0.1:8642"}, 8642) is None
    True
    >>> refused("GET", "/api/overview", {"host": "attacker.example:8642"}, 8642)
    'the Host header attacker.example:8642 is not this board; open http://127.0.0.1:8642/.'
    """
    hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())
    host = headers.get("host", "").lower()
    if host not in hosts:
        return f"the Host header {host or 'is missing and'} is not this board; open http://127.0.0.1:{port}/."
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return f"the origin {origin} is not this board; only its own page may ask."
    site = headers.get("sec-fetch-site", "none")
    is_page = method == "GET" and path == "/" and headers.get("sec-fetch-mode", "navigate") == "navigate"
    if site not in ("same-origin", "none") and not is_page:
        return "a page of another site asked; only the board's own page may."
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "expected a body of application/json."
    return None
