"""A server of a study's report that follows a running search, for `cnnsearch ui --live`."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from cnnsearch.cli import summary
from cnnsearch.cli.server_address import check_free
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.report.live import LiveReport
from cnnsearch.study import listing

HOSTS = ("127.0.0.1", "localhost")
"""The addresses to serve on. They are of this machine alone."""

SECONDS = 1.0
"""Seconds between two readings of the storage, if a browser looks at the page."""

SHARE = 0.05
"""The part of the time that reading the storage may take."""


def serve(host: str, port: int, study: str | None, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Serve the report of a study until Ctrl-C; it is kept up to date while a search runs, and stays after its end.

    Raises:
        CnnsearchError: if the address is not one of `HOSTS`, it cannot be used, or there is no such study.
    """
    import uvicorn

    if host not in HOSTS:
        raise CnnsearchError(
            f"--live serves on {' or '.join(HOSTS)} only, not on {host}. Leave out --host; to see the page from "
            f"another machine, forward the port: ssh -L {port}:127.0.0.1:{port} MACHINE"
        )
    name = listing.load(study, runs, storage).name
    report = LiveReport(partial(listing.load, name, runs, storage), plugins, summary.where(runs, storage))
    check_free(host, port)
    # the search comes first
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    print(f"Study '{name}' on http://{host}:{port}/ (Ctrl-C stops the page, not the search)", flush=True)
    config = uvicorn.Config(app(report), host=host, port=port, log_level="error", timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()


def app(report: LiveReport) -> Any:
    """The pages: `/` is the report, `/events` tells a browser when it has changed."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def page(request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(report.html), headers={"Cache-Control": "no-store"})

    async def events(request: Request) -> Response:
        return StreamingResponse(_events(report), media_type="text/event-stream")

    # a page of another site cannot read this one under a name that it has given to this machine
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    return Starlette(routes=[Route("/", page), Route("/events", events)], middleware=[hosts])


async def _events(report: LiveReport) -> AsyncIterator[str]:
    """The status as server-sent events; `changed` says that the page has to be loaded again."""
    version = text = ""
    report.readers += 1
    try:
        while True:
            began = time.monotonic()
            status = await asyncio.to_thread(report.status)
            if (status.text, status.version) != (text, version):
                changed = bool(version) and status.version != version
                yield f"data: {json.dumps({'text': status.text, 'changed': changed})}\n\n"
                text, version = status
            await asyncio.sleep(max(SECONDS, (time.monotonic() - began) / SHARE))
    finally:
        report.readers -= 1
