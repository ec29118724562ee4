"""The alert receiver: Alertmanager's webhook, version 4, and the last alerts in memory.

Alertmanager tells one replica of the gateway; the others learn of it from each other (:mod:`gateway.peers`).
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.metrics import Metrics

KEPT = 100
_LABELS = 64
_TEXT = 4096
_COUNTS = 1000

Text = Annotated[str, Field(max_length=_TEXT)]
Labels = Annotated[dict[Text, Text], Field(max_length=_LABELS)]


class _Model(BaseModel):
    # Alertmanager adds fields in minor releases; what is not known is not an error.
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Alert(_Model):
    """One alert of a notification. An alert that still fires has no real end: Alertmanager sends the year 1."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = Field(default_factory=dict[str, str])
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    fingerprint: Text = ""

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "(no name)")


class Notification(_Model):
    """The body that Alertmanager sends."""

    version: Literal["4"]
    status: Literal["firing", "resolved"]
    receiver: Text = ""
    alerts: Annotated[tuple[Alert, ...], Field(max_length=10_000)]


class Received(_Model):
    """An alert and when it came in."""

    received_at: AwareDatetime
    alert: Alert

    @property
    def identity(self) -> tuple[object, ...]:
        """What no other arrival has, in any replica."""
        alert = self.alert
        return self.received_at, alert.status, alert.starts_at, tuple(sorted(alert.labels.items()))

    def as_json(self) -> dict[str, object]:
        """Return the alert as Alertmanager writes it, and the time of arrival."""
        return {
            "receivedAt": self.received_at.isoformat(),
            **self.alert.model_dump(mode="json", by_alias=True),
        }


class Kept(_Model):
    """What one replica tells the others: the alerts that it keeps, and how many each replica has received."""

    alerts: Annotated[tuple[Received, ...], Field(max_length=KEPT)]
    counts: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[int, Field(ge=0)]], Field(max_length=_COUNTS)
    ]


class AlertLog:
    """The last alerts that came in, newest first."""

    def __init__(self, metrics: Metrics, kept: int = KEPT) -> None:
        self._most = kept
        self._alerts: list[Received] = []
        self._counter = metrics.alerts_received
        self._replica = uuid.uuid4().hex
        self._counts = {self._replica: 0}

    @property
    def total(self) -> int:
        """How many have come in, at any replica."""
        return sum(self._counts.values())

    def receive(self, body: bytes) -> int:
        """Keep the alerts of one notification and return how many they were.

        Raises:
            Refused: the body is not a notification of version 4.
        """
        try:
            notification = Notification.model_validate_json(body)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in fault["loc"]) or "the body"
            raise Refused(
                400, "bad_data", f"not a notification of Alertmanager's webhook, version 4: {where}: {fault['msg']}"
            ) from None
        now = datetime.now(UTC)
        for alert in notification.alerts:
            self._counter.labels(alert.status).inc()
        # The last of a notification first, as if they had come one by one.
        arrived = [Received(received_at=now, alert=alert) for alert in reversed(notification.alerts)]
        self._alerts = [*arrived, *self._alerts][: self._most]
        self._counts[self._replica] += len(arrived)
        return len(arrived)

    def latest(self, limit: int = KEPT) -> Sequence[Received]:
        """Return the newest alerts first."""
        return self._alerts[:limit]

    def kept(self) -> Kept:
        """Return what other replicas want to know."""
        return Kept(alerts=tuple(self._alerts[:KEPT]), counts=self._counts)

    def merge(self, other: Kept) -> None:
        """Take over what another replica knows; doing so twice changes nothing."""
        known = {received.identity for received in self._alerts}
        new = [received for received in other.alerts if received.identity not in known]
        if new:
            by_time = sorted([*self._alerts, *new], key=lambda received: received.received_at, reverse=True)
            self._alerts = by_time[: self._most]
        for replica, count in other.counts.items():
            self._counts[replica] = max(count, self._counts.get(replica, 0))
        # A replica that was replaced is counted on; only of very many is one forgotten.
        while len(self._counts) > _COUNTS:
            self._counts.pop(next(replica for replica in self._counts if replica != self._replica))
