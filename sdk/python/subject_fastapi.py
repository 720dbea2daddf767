"""The service that sdk/conformance drives: FastAPI behind uvicorn."""

import socket
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from latchkey_verify.fastapi import Latchkey
from starlette.concurrency import run_in_threadpool
from subject_core import Controls

service = None


def make(options):
    """Makes the application of a case, as a service makes its own."""
    global service
    app, latchkey = FastAPI(), Latchkey(**options)
    latchkey.install(app)

    @app.get("/open", response_class=PlainTextResponse)
    def open_to_keys(key: Annotated[dict, Depends(latchkey.require())]):
        return key["id"]

    @app.get("/documents", response_class=PlainTextResponse)
    def documents(key: Annotated[dict, Depends(latchkey.require("documents:read"))]):
        return key["id"]

    service = app
    return latchkey


controls = Controls(make)
outer = FastAPI()


@outer.post("/test/{what}", response_class=PlainTextResponse)
async def control(what: str, request: Request):
    return await run_in_threadpool(controls, what, request.url.query, await request.body())


async def both(scope, receive, send):
    await (outer if scope.get("path", "").startswith("/test/") or service is None else service)(scope, receive, send)


listener = socket.create_server(("127.0.0.1", 0), backlog=256)
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(both, log_level="warning", proxy_headers=False)).run(sockets=[listener])
