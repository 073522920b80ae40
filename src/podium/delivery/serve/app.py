"""The addresses of the server: a page for people, a REST API for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.requests import ClientDisconnect

from podium.delivery.serve import metrics
from podium.delivery.serve.limits import Refusal
from podium.delivery.serve.observer import Observer
from podium.delivery.serve.page import Page
from podium.delivery.serve.schemas import BODY, PROBLEMS, Card, Health, PredictAnswer, Problem
from podium.delivery.serve.service import Service

__all__ = ["make_app"]

CLIENT_GONE = 499  # nobody reads it; it is counted


def make_app(service: Service) -> FastAPI:
    """The ASGI application. Its lifespan ends with the service's threads.

    FastAPI's own pages of documentation fetch scripts from elsewhere, so they are off; /api says the same, offline.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.warm_up()
        yield
        service.close()

    app = FastAPI(
        title="podium",
        summary=f"Names what is in a picture: {service.card.name}.",
        version=service.card.versions["podium"],
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Observer, metrics=service.metrics)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _impossible)
    app.add_exception_handler(ClientDisconnect, _gone)
    _add_api(app, service)
    _add_page(app, Page(service.card))
    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        response_model=PredictAnswer,
        responses=PROBLEMS,
        openapi_extra={"requestBody": BODY},
        summary="Name what is in one image or several",
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1000, description="How many classes of each image.")] = 5,
        heat_map: Annotated[bool, Query(description="Show where the network looked.")] = False,
        of: Annotated[
            str | None, Query(description="The class that the heat map is of. (default: the most probable)")
        ] = None,
    ) -> Response:
        return JSONResponse(await service.predict(request, top=top, heat_map=heat_map, of=of))

    @app.get("/health", responses={503: {"model": Health, "description": "About to stop."}})
    async def health() -> Health:
        """Whether requests are taken."""
        if service.admission.closing:
            return JSONResponse({"status": "closing"}, 503)  # type: ignore[return-value]  # FastAPI passes it on
        return Health(status="ok")

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus'."}},
    )
    async def prometheus() -> Response:
        """What the server did so far, for Prometheus."""
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    @app.get("/model")
    async def model() -> Card:
        """The model's card."""
        return service.card


def _add_page(app: FastAPI, page: Page) -> None:
    def add(path: str, content: str, kind: str) -> None:
        async def answer() -> Response:
            return Response(content, media_type=kind)

        app.add_api_route(path, answer, include_in_schema=False, response_class=HTMLResponse)

    add("/", page.index, "text/html; charset=utf-8")
    add("/api", page.api, "text/html; charset=utf-8")
    add("/style.css", page.style, "text/css; charset=utf-8")
    add("/page.js", page.script, "text/javascript; charset=utf-8")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _problem(error.status, error.message, error.headers)


async def _impossible(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return _problem(422, said)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def _problem(status: int, message: str, headers: dict[str, Any] | None = None) -> Response:
    return JSONResponse(Problem(detail=message).model_dump(), status, headers)
