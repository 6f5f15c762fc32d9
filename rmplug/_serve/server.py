"""The server of a reward model: its addresses, and what is answered at each."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rmplug._addresses import hosts_of, listen, url_of
from rmplug.errors import RmplugError
from rmplug.models.scorer import Scorer

from .answers import Answers
from .batching import Asked, Batcher, ClosedError, Limits, QueueFullError, Scored
from .connections import HEAD_BYTES, Bounds, bounded
from .guard import App, Guard, error_body
from .metrics import CONTENT_TYPE, Metrics
from .requests import (
    ClassifyRequest,
    ModelRequest,
    RankRequest,
    RequestError,
    RewardRequest,
    ScoreRequest,
    parse,
)

if TYPE_CHECKING:
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass(frozen=True)
class Settings:
    """The settings of a server: where it listens, how it is guarded, and its limits."""

    name: str
    """The model's name in requests and answers."""
    address: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    most_bytes: int = 16 << 20
    most_rows: int = 1024
    """Most rows in one request."""
    most_text: int = 250_000
    """Most characters of a row, prompt and response together."""
    bounds: Bounds = field(default_factory=Bounds)
    limits: Limits = field(default_factory=Limits)
    raw_queries: bool = False
    """Read the queries of ``/get_reward`` as they are, by the model's tokenizer."""
    endings: Sequence[str] = ()
    """Texts that end a response in ``/get_reward`` and are no part of it."""


def serve(scorer: Scorer, settings: Settings, ready: Callable[[str], None]) -> None:
    """Answer requests until it is interrupted or terminated, then those that wait; ``ready`` is
    told the address. Raises ``RmplugError`` if the address or the port cannot be used."""
    import uvicorn

    listening = listen(settings.address, settings.port)
    service = Service(scorer, settings)
    with contextlib.suppress(RmplugError):  # what is loaded with a first conversation is loaded now
        scorer.matrix(["Hello."], ["Hello."], missing=True)
    service.batcher.start()
    with listening, scorer.model.standing():
        ready(url_of(settings.address, listening))
        # uvicorn has let the requests end when it raises the signal again, which is the way out
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(service.configuration()).run(sockets=[listening])
    service.batcher.close()


class Service:
    """A model, its queue, and the answer to each request."""

    def __init__(self, scorer: Scorer, settings: Settings) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.batcher = Batcher(scorer, settings.limits, self.metrics)
        self.answers = Answers(settings.name, scorer.outputs)
        self.started = int(time.time())

    def configuration(self, log_level: str = "warning") -> uvicorn.Config:
        """Return how uvicorn runs the server."""
        import uvicorn

        return uvicorn.Config(
            self.application(),
            http=bounded(
                self.settings.bounds,
                lambda status: self.metrics.request_answered("other", status, 0.0),
            ),
            ws="none",
            # our own bound comes first, with an answer
            h11_max_incomplete_event_size=16 * HEAD_BYTES,
            log_level=log_level,
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=False,  # no address of a client is looked at
            timeout_graceful_shutdown=30,
            timeout_keep_alive=self.settings.bounds.idle,
        )

    def application(self) -> App:
        """Return the server as an ASGI application behind its guard."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        posts = {
            "/classify": self.classify,
            "/score": self.score,
            "/v1/score": self.score,
            "/get_reward": self.get_reward,
            "/rank": self.rank,
        }
        gets = {"/health": self.health, "/metrics": self.counts, "/v1/models": self.models}
        routes = [Route(path, answer, methods=["POST"]) for path, answer in posts.items()]
        routes += [Route(path, answer) for path, answer in gets.items()]
        handlers: dict[Any, Any] = {
            RequestError: lambda _, error: _refusal(error.status, str(error)),
            RmplugError: lambda _, error: _refusal(400, str(error)),
            QueueFullError: _later,
            ClosedError: lambda _, error: _refusal(503, "the server is ending"),
            HTTPException: lambda _, error: _refusal(error.status_code, error.detail),
            Exception: _broken,
        }
        return Guard(
            Starlette(routes=routes, exception_handlers=handlers),
            self.metrics,
            frozenset([*posts, *gets]),
            hosts_of(self.settings.address),
            self.settings.token,
            self.settings.most_bytes,
            self.settings.bounds.seconds,
        )

    async def classify(self, request: Request) -> Response:
        """vLLM's ``/classify``."""
        body = parse(ClassifyRequest, await request.body())
        scored = await self._scored(body, body.asked())
        return _json(self.answers.classify(scored, body.activated))

    async def score(self, request: Request) -> Response:
        """vLLM's ``/score``: prompts and responses."""
        body = parse(ScoreRequest, await request.body())
        scored = await self._scored(body, body.asked())
        return _json(self.answers.score(scored, body.activated))

    async def get_reward(self, request: Request) -> Response:
        """OpenRLHF's remote reward model."""
        body = parse(RewardRequest, await request.body())
        asked = body.asked(self.settings.raw_queries, self.settings.endings)
        return _json(self.answers.get_reward(await self._scored(body, asked)))

    async def rank(self, request: Request) -> Response:
        """Responses to a prompt, best first."""
        body = parse(RankRequest, await request.body())
        return _json(self.answers.rank(await self._scored(body, body.asked())))

    async def health(self, request: Request) -> Response:
        """Whether requests are answered."""
        return _json({}) if self.batcher.alive else _refusal(503, "the server is ending")

    async def counts(self, request: Request) -> Response:
        """What Prometheus reads."""
        from starlette.responses import Response

        return Response(self.metrics.text(self.batcher.rows), media_type=CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        """The model that is served."""
        return _json(self.answers.models(self.started))

    async def _scored(self, body: ModelRequest, asked: Asked) -> Scored:
        if body.model not in (None, self.settings.name):
            message = f"the model {body.model:.80} is not served; {self.settings.name} is"
            raise RequestError(404, message)
        most = min(self.settings.most_rows, self.settings.limits.queue_rows)
        if len(asked) > most:
            raise RequestError(413, f"a request has at most {most} rows; send several")
        self._check_sizes(asked)
        return await self.batcher.submit(asked)

    def _check_sizes(self, asked: Asked) -> None:
        """Refuse what would hold the model for long before it is cut to the model's length, and
        what a prompt that all rows have in common makes large."""
        row_most, most, total = self.settings.most_text, self.settings.most_bytes, 0
        for row, size in enumerate(asked.sizes()):
            total += size
            if size > row_most:
                told = (
                    f"row {row} has {size} characters with its prompt, and a row at most {row_most}"
                )
                raise RequestError(413, f"{told}; shorten it, or raise --max-text of the server")
            if total > most:
                told = (
                    f"the rows of a request, each with its prompt, have at most {most} characters"
                )
                raise RequestError(413, f"{told}; send several")


def _json(content: dict[str, Any]) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content)


def _refusal(status: int, message: str, **headers: str) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(error_body(status, message), status, headers)


async def _broken(request: Request, error: Exception) -> Response:
    """Answer after a bug, after which the server closes the connection: a client that is told does
    not use it again."""
    return _refusal(500, f"{type(error).__name__}: see the server", connection="close")


async def _later(request: Request, error: QueueFullError) -> Response:
    seconds = str(min(60, max(1, math.ceil(error.seconds))))
    return _refusal(429, str(error), **{"retry-after": seconds})
