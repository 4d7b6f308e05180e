"""Answers as OpenAPI shows them: one image, one question, a grid of 2 x 2 cells for the eye."""

from typing import Any

_MODEL = {
    "name": "mammo-demo",
    "version": "2",
    "digest": "369c4ee3" * 8,
    "recipe": "mammo-clip",
    "recipe_digest": "f972a209" * 8,
    "licence": "Apache-2.0",
    "restricted": False,
}
_FILE: dict[str, Any] = {
    "file": "LCC.dcm",
    "sop_instance_uid": "1.2.826.0.1.3680043.8.498.1",
    "laterality": "L",
    "view": "CC",
    "status": "analyzed",
    "code": None,
    "detail": None,
    "warnings": [],
}
_PLACE = {
    "present": True,
    "head": "mass",
    "hottest": 4.81,
    "channels": [{"channel": 517, "weight": 1.0, "similarity": 0.63}],
    "boxes": [
        {
            "pixels": {
                "left_column": 612.0,
                "top_row": 1280.5,
                "right_column": 748.2,
                "bottom_row": 1431.0,
            },
            "mm": {"left_mm": 42.84, "top_mm": 89.64, "right_mm": 52.37, "bottom_mm": 100.17},
            "heat": 0.98,
        }
    ],
    "grid": {
        "rows": 2,
        "columns": 2,
        "values": [[0.0, 0.02], [1.0, 0.11]],
        "region": {
            "left_column": 5.0,
            "top_row": 211.0,
            "right_column": 1360.0,
            "bottom_row": 2490.0,
        },
    },
    "overlay": None,
}
_TIMING = {
    "upload_ms": 12.0,
    "decode_ms": 190.2,
    "queue_ms": 310.5,
    "score_ms": 8.1,
    "total_ms": 520.8,
}
_NOTE = "Research use only. Not for diagnosis."
_SCORE = {
    "name": "mass",
    "score": 0.91,
    "calibrated": True,
    "threshold": 0.5,
    "positive": True,
    "prompts": {"positive": ["there is a mass"], "negative": ["no mass"]},
}

HEATMAP: dict[str, Any] = {
    "id": "0f" * 16,
    "model": _MODEL,
    "prompts_digest": "58e5d1ee" * 8,
    "images": [{**_FILE, "heat_maps": [{**_SCORE, **_PLACE}]}],
    "timing": _TIMING,
    "note": _NOTE,
}
GROUND: dict[str, Any] = {
    "id": "0f" * 16,
    "model": _MODEL,
    "prompts_digest": "1b7dd2c4" * 8,
    "negative": ["no suspicious finding"],
    "images": [_FILE],
    "sentences": [
        {
            "text": "There is a mass in the left breast.",
            "section": "findings",
            "not_grounded": None,
            "best_image": 0,
            "images": [{"image": 0, "score": 0.88, **_PLACE, "head": "*", "grid": None}],
        }
    ],
    "timing": _TIMING,
    "note": _NOTE,
}
