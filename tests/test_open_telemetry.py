"""Counters and gauges, read with OpenTelemetry's SDK in another process (instruments are created only once)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk.metrics", reason="the OpenTelemetry SDK is not installed")

Point = list[Any]
"""Attributes, value."""

PROGRAM = """
import json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))

from dpmiddleware import DataProtection, telemetry

dp = DataProtection("shop", repository="memory:")
dp.create_protector("a").protect("x")
telemetry.refused("tampered", key_id=None, ring="shop", where="sid")
telemetry.refused("tampered", key_id=None, ring="shop", where="sid")
found = {}
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            found[metric.name] = [[dict(point.attributes), point.value] for point in metric.data.data_points]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def metrics() -> dict[str, list[Point]]:
    """Instrument name → its points."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    found: dict[str, list[Point]] = json.loads(run.stdout)
    return found


def test_refusals_are_counted_by_reason(metrics: dict[str, list[Point]]) -> None:
    """Also those that no log line is written for."""
    assert [{"event": "unprotect_refused", "reason": "tampered"}, 2] in metrics["dpmiddleware.events"]


def test_events_are_counted_by_name(metrics: dict[str, list[Point]]) -> None:
    """A key was made."""
    assert [{"event": "key_created", "reason": ""}, 1] in metrics["dpmiddleware.events"]


@pytest.mark.parametrize(
    ("gauge", "least", "most"),
    [
        pytest.param("dpmiddleware.ring.age", 0, 600, id="the store has just answered"),
        pytest.param("dpmiddleware.key.age", 0, 600, id="the key has just been made"),
        pytest.param("dpmiddleware.rotation.due", 86 * 86_400, 87 * 86_400, id="three days before its ninety are over"),
    ],
)
def test_gauges_tell_how_the_ring_is(metrics: dict[str, list[Point]], gauge: str, least: float, most: float) -> None:
    """In seconds, with the ring's name."""
    [(attributes, value)] = metrics[gauge]
    assert attributes == {"ring": "shop"}
    assert least <= value <= most
