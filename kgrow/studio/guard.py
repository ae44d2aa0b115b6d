"""`Guard`: lets in what comes from the page alone, and says to a browser what the page may do."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

SAFE_METHODS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
# A report is a page with its script inside. It gets an origin of its own, so that nothing in it can reach the studio.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the address has the token in it
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Refuses every request without the token, for another host, or that another page makes in the user's name.

    Args:
        app: Application that is guarded.
        token: First part of the path of every request.
        port: Port of the server.
    """

    def __init__(self, app: Any, token: str, port: int) -> None:
        self._app, self._token = app, token
        # Browsers leave the port of HTTP out.
        self._hosts = {name if port == 80 else f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem:
            body = f"{problem}\n".encode()
            headers = {**HEADERS, "content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
            await send({"type": "http.response.start", "status": 403, "headers": _encoded(headers)})
            await send({"type": "http.response.body", "body": body})
        else:
            await self._app(scope, receive, _with_headers(send))

    def _problem(self, scope: Scope) -> str:
        """Returns why a request is refused; an empty text if it is not."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return "This server answers to 127.0.0.1 and localhost alone."
        given = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "The address has no valid token. Copy the whole address that `kgrow studio` has printed."
        if scope["method"] not in SAFE_METHODS and not self._is_own(headers):
            return "Another page may not do this."
        return ""

    def _is_own(self, headers: dict[str, list[str]]) -> bool:
        """Returns whether a browser says that a request is of the page itself; other programs say nothing."""
        origins = {f"http://{host}" for host in self._hosts}
        is_same_site = headers.get("sec-fetch-site", ["same-origin"]) == ["same-origin"]
        return is_same_site and set(headers.get("origin", [])) <= origins


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            message["headers"] += [(name, value) for name, value in _encoded(HEADERS) if name not in own]
        await send(message)

    return sent


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
