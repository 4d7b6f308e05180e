"""GET /docs: the routes on one page that loads nothing from elsewhere."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

from service.openapi import problems

router = APIRouter(tags=["operation"])

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#eee;padding:.1em .3em}h2{margin-bottom:0}li{margin:.2rem 0}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@router.get(
    "/docs",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **problems()},
)
async def docs(request: Request) -> Response:
    """This page."""
    document = request.app.openapi()
    body = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><h1>{title}</h1>"
        f"<p>{escape(document['info']['description'])}</p>"
        f'<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>{body}</html>'
    )
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": POLICY})


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    named = [p for p in operation.get("parameters", ()) if p["in"] != "header"]
    listed = "".join(
        f"<li><code>{escape(p['name'])}</code> {escape(p.get('description', ''))}</li>"
        for p in named
    )
    statuses = ", ".join(operation["responses"])
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', ''))}</p><ul>{listed}</ul>"
        f"<p>Answers: {statuses}</p>"
    )
