"""The OpenAPI document is true: whatever is generated from it gets an answer it describes."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from service.heat_examples import GROUND, HEATMAP
from service.heat_schemas import GroundAnswer, HeatmapAnswer
from tests.service.live import Live, service

__all__ = ["service"]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = {"post": 60, "get": 15}


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_requests_get_documented_answers_and_no_5xx(
    service: Live, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{service.serving.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 13
    for operation in operations:
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation):
            try_operation(operation, mode)
    assert service.client.get("/livez").status_code == 200
    assert service.files_left() == []


def test_the_examples_of_heat_maps_are_answers() -> None:
    HeatmapAnswer.model_validate(HEATMAP)
    GroundAnswer.model_validate(GROUND)


def can_be_wrong(operation: schemathesis.APIOperation) -> bool:
    """Whether it takes anything that could be of another type."""
    return bool(operation.body or operation.query)


def try_operation(operation: schemathesis.APIOperation, mode: GenerationMode) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES[operation.method],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def answers(case: Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=30)

    answers()
