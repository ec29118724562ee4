"""The alert receiver: Alertmanager's webhook, version 4, and the last alerts in memory."""

from __future__ import annotations

from collections import deque
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

    def as_json(self) -> dict[str, object]:
        """Return the alert as Alertmanager writes it, and the time of arrival."""
        return {
            "receivedAt": self.received_at.isoformat(),
            **self.alert.model_dump(mode="json", by_alias=True),
        }


class AlertLog:
    """The last alerts that came in, newest first."""

    def __init__(self, metrics: Metrics, kept: int = KEPT) -> None:
        self._alerts: deque[Received] = deque(maxlen=kept)
        self._counter = metrics.alerts_received
        self.total = 0

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
            self._alerts.appendleft(Received(received_at=now, alert=alert))
            self._counter.labels(alert.status).inc()
        self.total += len(notification.alerts)
        return len(notification.alerts)

    def latest(self, limit: int = KEPT) -> Sequence[Received]:
        """Return the newest alerts first."""
        return list(self._alerts)[:limit]
