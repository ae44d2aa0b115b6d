"""The requests of the page, and their answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from kgrow.commands import say
from kgrow.run import RESULT
from kgrow.searching.limits import devices
from kgrow.studio.archives import MAX_ARCHIVE_BYTES, MAX_FILES
from kgrow.studio.command import again_command, search_command
from kgrow.studio.guard import REPORT_POLICY, Guard
from kgrow.studio.names import free_name, inside
from kgrow.studio.runs import REPORT, bundle_of, runs_in
from kgrow.studio.searches import Searches
from kgrow.studio.trying import MAX_PICTURE_BYTES, Trying
from kgrow.studio.uploads import Uploads, counted

ASSETS = resources.files("kgrow.studio") / "assets"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_REQUEST_BYTES = 20_000
BUSY, GONE, BAD = 409, 404, 400


class Studio:
    """All that the page can ask for.

    Args:
        runs: Directory of the runs.
    """

    def __init__(self, runs: Path) -> None:
        self.searches = Searches()
        self._runs, self._uploads, self._trying = runs, Uploads(runs), Trying()

    def guarded(self, token: str, port: int) -> Guard:
        """Returns the application.

        Args:
            token: First part of the path of every request.
            port: Port of the server.
        """
        routes = [
            Route("/", self._asset),
            Route("/assets/{name}", self._asset),
            Route("/choices", self._choices),
            Route("/state", self._state),
            Route("/uploads", _answering(self._upload), methods=["POST"]),
            Route("/searches", _answering(self._search), methods=["POST"]),
            Route("/stop", _answering(self._stop), methods=["POST"]),
            Route("/runs/{name}/again", _answering(self._again), methods=["POST"]),
            Route("/runs/{name}/answers", _answering(self._answer), methods=["POST"]),
            Route("/runs/{name}/report", _answering(self._report)),
            Route("/runs/{name}/bundle", _answering(self._bundle)),
        ]
        return Guard(Starlette(routes=[Mount(f"/{token}", routes=routes)], lifespan=self._lifespan), token, port)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        if self.searches.is_running:
            say("Ending the search; its checkpoint is kept.")  # which takes seconds
        await run_in_threadpool(self.searches.close)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params.get("name", "page.html")
        known = {file.name: file for file in ASSETS.iterdir()}
        if name not in known:
            return JSONResponse({"error": "There is no such file."}, GONE)
        return Response(known[name].read_bytes(), media_type=TYPES[Path(name).suffix])

    async def _choices(self, request: Request) -> Response:
        known = [
            {"name": name, "what": device["what"], "flash": device["flash_bytes"], "ram": device["ram_bytes"]}
            for name, device in devices().items()
        ]
        folders = [str(folder) for folder in self._uploads.folders()]
        limits = {"files": MAX_FILES, "bytes": MAX_ARCHIVE_BYTES}
        return JSONResponse({"devices": known, "data": ["digits", *folders], "out": str(self._runs), "limits": limits})

    async def _state(self, request: Request) -> Response:
        runs = await run_in_threadpool(runs_in, self._runs)
        return JSONResponse({"current": self.searches.state, "runs": runs})

    async def _upload(self, request: Request) -> Response:
        folder = await self._uploads.receive(request.query_params.get("name", ""), request.stream())
        if await request.is_disconnected():
            self._uploads.remove(folder)
        classes = await run_in_threadpool(counted, folder)
        return JSONResponse({"data": str(folder), "classes": classes})

    async def _search(self, request: Request) -> Response:
        given = json.loads(await _body(request, MAX_REQUEST_BYTES))
        wanted = given if isinstance(given, dict) else {}
        data, device, max_time = (str(wanted.get(name, "")).strip() for name in ("data", "device", "max_time"))
        run = free_name(self._runs, data)
        self.searches.start(run, search_command(data, device, max_time, run))
        return JSONResponse({"run": run.name})

    async def _stop(self, request: Request) -> Response:
        await run_in_threadpool(self.searches.stop)
        return JSONResponse({})

    async def _again(self, request: Request) -> Response:
        run = self._run_of(request)
        self.searches.start(run, again_command(run))
        return JSONResponse({"run": run.name})

    async def _answer(self, request: Request) -> Response:
        picture = await _body(request, MAX_PICTURE_BYTES)
        return JSONResponse(await run_in_threadpool(self._trying.answer, self._run_of(request), picture))

    async def _report(self, request: Request) -> Response:
        page = (self._run_of(request) / REPORT).read_bytes()
        return Response(page, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    async def _bundle(self, request: Request) -> Response:
        run = self._run_of(request)
        if not (run / RESULT).is_file():
            raise FileNotFoundError(f"The run {run.name!r} has no exported network yet.")
        name = f"attachment; filename*=utf-8''{quote(run.name)}.zip"
        content = await run_in_threadpool(bundle_of, run)
        return Response(content, media_type="application/zip", headers={"content-disposition": name})

    def _run_of(self, request: Request) -> Path:
        return inside(self._runs, request.path_params["name"])


def _answering(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Returns a call whose errors are answers: they are for the user of the page."""

    async def answered(request: Request) -> Response:
        try:
            return await call(request)
        except ClientDisconnect:
            return Response(status_code=BAD)  # nobody reads it
        except RuntimeError as error:
            return JSONResponse({"error": str(error)}, BUSY)
        except FileNotFoundError as error:
            return JSONResponse({"error": str(error)}, GONE)
        except (ValueError, OSError, ImportError) as error:
            return JSONResponse({"error": str(error)}, BAD)

    return answered


async def _body(request: Request, most: int) -> bytes:
    """Returns the body of a request; raises ValueError if it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ValueError(f"What is sent must have at most {most} bytes, but has more.")
    return bytes(body)
