"""The server of the pages: addresses, and what stands at each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rmplug._addresses import hosts_of, listen, url_of
from rmplug._store.record_files import RECORD, record_data
from rmplug.errors import StoreError

from .guard import App, Guard
from .links import Links
from .pages import ASSETS, BETWEEN, SANDBOX, TEMPLATES, Pages
from .stored_results import report_file

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIVE = Links()


def serve(pages: Pages, address: str, port: int, token: str, ready: Callable[[str], None]) -> None:
    """Answer requests until it is interrupted; ``ready`` is told the address of the first page.

    Raises ``RmplugError`` if the address or the port cannot be used."""
    import uvicorn

    listening = listen(address, port)
    with listening:
        ready(f"{url_of(address, listening)}/")
        server = uvicorn.Server(settings(application(pages, address, token)))
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # the way to end it
            return


def settings(app: App) -> Any:
    """Return how uvicorn runs an application: quietly, and without saying what it is."""
    import uvicorn

    return uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off"
    )


def application(pages: Pages, address: str = "127.0.0.1", token: str = "") -> App:
    """Return the pages as an ASGI application behind its guard."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    answers = Answers(pages)
    routes = [
        Route("/", answers.runs),
        Route("/compare", answers.choose),
        Route("/compare/{runs}/", answers.comparison),
        Route("/runs/{run}/", answers.run),
        Route(f"/runs/{{run}}/{RECORD}", answers.record),
        Route("/runs/{run}/tables/{name}/", answers.table),
        Route("/files/{run}/{step}/{path:path}", answers.file),
        *(Route(f"/{name}", answers.asset) for name in ASSETS),
    ]
    handlers: dict[Any, Any] = {StoreError: answers.no_such_thing, HTTPException: answers.not_there}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts_of(address), token)


class Answers:
    """The answer to each request. Functions without ``async`` run beside each other in threads."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def runs(self, request: Request) -> Response:
        """All runs."""
        return _html(self._pages.runs(LIVE))

    def run(self, request: Request) -> Response:
        """One run."""
        run = request.path_params["run"]
        return _html(self._pages.run(LIVE, run, self._pages.earlier(run)))

    def record(self, request: Request) -> Response:
        """The record of a run; its ``ETag`` is another one when the run has gone on."""
        from starlette.responses import Response

        run = request.path_params["run"]
        record = self._pages.record(run)
        stat = (self._pages.store.runs / run / RECORD).stat()
        tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}-{record.status}"'
        text = json.dumps(record_data(record), indent=1, ensure_ascii=False, default=str)
        headers = {"etag": tag, "cache-control": "no-cache"}
        return Response(text, media_type="application/json", headers=headers)

    def table(self, request: Request) -> Response:
        """A page of rows: ``?page=2&where=...``."""
        asked = request.query_params
        page = asked.get("page", "1")
        number = int(page) if page.isdecimal() and len(page) < 12 else 1
        run, name = request.path_params["run"], request.path_params["name"]
        return _html(self._pages.table(LIVE, run, name, number, asked.get("where", "")))

    def choose(self, request: Request) -> Response:
        """The comparison of the runs that were ticked, the earliest first: ``?run=...&run=...``."""
        from starlette.responses import RedirectResponse

        chosen = sorted(set(request.query_params.getlist("run")))  # an id begins with the time
        if len(chosen) < 2:
            raise StoreError("tick at least two runs to compare them")
        return RedirectResponse(LIVE.page("compare", BETWEEN.join(chosen)), 303)

    def comparison(self, request: Request) -> Response:
        """Several runs side by side."""
        runs = request.path_params["runs"].split(BETWEEN)
        return _html(self._pages.comparison(LIVE, runs))

    def file(self, request: Request) -> Response:
        """A file of a report, which has no part in the origin of these pages."""
        from starlette.responses import FileResponse

        asked = request.path_params
        step = self._pages.record(asked["run"]).steps.get(asked["step"])
        key = step.artifact if step is not None and step.family == "reporter" else ""
        path = report_file(self._pages.store, key, asked["path"])
        if path is None:
            raise StoreError("the report has no such file")
        policy = f"{SANDBOX}; frame-ancestors 'self'"
        return FileResponse(path, headers={"content-security-policy": policy})

    def asset(self, request: Request) -> Response:
        """The style and the script of the pages."""
        from starlette.responses import FileResponse

        name = request.url.path.removeprefix("/")
        return FileResponse(TEMPLATES / name, headers={"cache-control": "no-cache"})

    def no_such_thing(self, request: Request, error: Exception) -> Response:
        """A page that says what is not there."""
        return _html(self._pages.problem(LIVE, "Not found", str(error)), 404)

    def not_there(self, request: Request, error: Any) -> Response:
        """A page for an address at which nothing stands."""
        message = "Nothing stands at this address."
        return _html(self._pages.problem(LIVE, "Not found", message), error.status_code)


def _html(text: str, status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(text, status, headers={"cache-control": "no-store"})
