from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts import KEPT, AlertLog
from gateway.metrics import Metrics
from gateway.problems import Refused
from tests.gateway.support import make_config, running

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

# As Alertmanager 0.25 sends it.
NOTIFICATION = {
    "receiver": "gateway",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "PaymentsSlow", "severity": "critical", "job": "traffic"},
            "annotations": {"summary": "p95 of payments is over 300 ms"},
            "startsAt": "2026-11-21T10:00:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
            "fingerprint": "c1f2a3",
        }
    ],
    "groupLabels": {"alertname": "PaymentsSlow"},
    "commonLabels": {"alertname": "PaymentsSlow"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "version": "4",
    "groupKey": '{}:{alertname="PaymentsSlow"}',
    "truncatedAlerts": 0,
}


def named(name: str, **changes: object) -> bytes:
    alert = {**NOTIFICATION["alerts"][0], "labels": {"alertname": name}}  # type: ignore[dict-item]
    return json.dumps({**NOTIFICATION, "alerts": [alert], **changes}).encode()


@pytest.mark.anyio
async def test_a_notification_is_kept_and_shown_to_who_has_the_token() -> None:
    async with running(make_config()) as gateway:
        posted = await gateway.request("POST", "internal", "/alerts", content=json.dumps(NOTIFICATION).encode())
        assert (posted.status_code, posted.json()) == (200, {"received": 1})
        assert (await gateway.request("GET", "main", "/api/alerts/received")).status_code == 401
        body = (await gateway.get("main", "/api/alerts/received")).json()
        page = (await gateway.get("main", "/status")).text
        metrics = (await gateway.get("internal", "/metrics")).text
    assert body["total"] == 1
    (alert,) = body["alerts"]
    assert alert["labels"]["alertname"] == "PaymentsSlow"
    assert alert["startsAt"] == "2026-11-21T10:00:00.123000Z"
    assert alert["receivedAt"].startswith("20")
    assert "p95 of payments is over 300 ms" in page
    assert 'gateway_alerts_received_total{status="firing"} 1.0' in metrics


@pytest.mark.anyio
async def test_the_receiver_is_not_on_the_published_fronts(stack: Stack) -> None:
    for front in ("main", "prometheus", "loki", "traces"):
        response = await stack.gateway.request("POST", front, "/alerts", content=json.dumps(NOTIFICATION).encode())
        assert response.status_code == 401
    response = await stack.gateway.request("GET", "internal", "/alerts")
    assert response.status_code == 405


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "the body: Invalid JSON"),
        (b"[]", "the body: Input should be an object"),
        (named("x", version="3"), "version: Input should be '4'"),
        (named("x", alerts="none"), "alerts: Input should be a valid"),
        (named("x", alerts=[dict[str, str]()]), "alerts.0.status: Field required"),
        (b"\xff\xfe", "the body: Invalid JSON"),
    ],
)
async def test_anything_else_is_refused_with_the_place_of_the_fault(stack: Stack, body: bytes, part: str) -> None:
    response = await stack.gateway.request("POST", "internal", "/alerts", content=body)
    assert response.status_code == 400
    assert part in response.json()["error"]


@pytest.mark.anyio
async def test_a_notification_over_the_limit_is_refused(stack: Stack) -> None:
    response = await stack.gateway.request("POST", "internal", "/alerts", content=b" " * 1_100_000)
    assert response.status_code == 413


def test_the_last_hundred_are_kept_newest_first() -> None:
    log = AlertLog(Metrics())
    for number in range(KEPT + 20):
        log.receive(named(f"Alert{number}"))
    names = [received.alert.name for received in log.latest()]
    assert names == [f"Alert{number}" for number in range(KEPT + 19, 19, -1)]
    assert log.total == KEPT + 20


def test_fields_of_later_versions_are_no_fault() -> None:
    assert AlertLog(Metrics()).receive(named("x", somethingNew=1)) == 1


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("4"),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["alerts", "version", "status", "labels", "startsAt"]), inner, max_size=4
                )
            ),
            max_leaves=12,
        ).map(lambda document: json.dumps(document).encode()),
    )
)
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(Refused):
        AlertLog(Metrics()).receive(body)
