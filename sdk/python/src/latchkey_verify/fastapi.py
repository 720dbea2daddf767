"""FastAPI: Depends(latchkey.require("documents:read"))."""

from fastapi import HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from . import Latchkey as Core
from . import Unavailable
from .refusals import limit_headers


class Problem(HTTPException):
    """A refusal. install() has it answered as a problem (RFC 9457)."""

    def __init__(self, refused):
        super().__init__(refused.status, refused.detail, refused.headers)
        self.refused = refused


class Latchkey(Core):
    """A Latchkey whose require() is a dependency."""

    def install(self, app):
        """Has an application answer refusals as problems."""
        app.add_exception_handler(Problem, lambda _request, error: Response(
            error.refused.body, error.refused.status, headers=error.refused.headers))
        return self

    def require(self, *scopes):
        """Returns a dependency: the key of the request, which is valid and holds all scopes."""

        async def dependency(request: Request, response: Response):
            ip = self.client_ip(request) if self.client_ip else request.client and request.client.host
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
            result, refused = await run_in_threadpool(self.admit, headers, scopes, ip)
            if refused:
                raise Problem(refused)
            response.headers.update(limit_headers(result.verification))
            return result.key

        return dependency


__all__ = ["Latchkey", "Problem", "Unavailable"]
