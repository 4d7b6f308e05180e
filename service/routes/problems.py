"""GET /problems/{slug}: what the `type` of an error means."""

import inspect

from fastapi import APIRouter

from service.errors import PROBLEMS, InvalidParameter, NotFound
from service.openapi import problems
from service.schemas import ProblemType

router = APIRouter(tags=["operation"])


@router.get("/problems/{slug}", responses=problems(NotFound, InvalidParameter))
async def get_problem_type(slug: str) -> ProblemType:
    """One type of error."""
    kind = PROBLEMS.get(slug)
    if kind is None:
        raise NotFound(f"No such problem type; known: {', '.join(PROBLEMS)}.")
    return ProblemType(
        type=f"/problems/{kind.slug}",
        title=kind.title,
        status=kind.status,
        meaning=inspect.getdoc(kind) or kind.title,
        retryable=kind.retryable,
    )
