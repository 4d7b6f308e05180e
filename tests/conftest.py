"""In CI nothing is skipped for want of a tool: .ci/run installs what a test needs."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    report = yield
    in_ci = os.environ.get("CI") == "true"
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if in_ci and skipped and item.get_closest_marker("gpu") is None:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {report.longrepr}"
    return report
