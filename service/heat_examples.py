"""Answers as OpenAPI shows them."""

HEATMAP: dict[str, object] = {}
GROUND: dict[str, object] = {}
