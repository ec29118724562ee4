"""The data sources by the uids that the Grafana front lists."""

from __future__ import annotations

from gateway.problems import Refused

# uid, name, type. Clients look for Tempo, and its dialect is what the trace front is for, also where Jaeger stores the
# traces.
SOURCES = (("prometheus", "Prometheus", "prometheus"), ("loki", "Loki", "loki"), ("tempo", "Tempo", "tempo"))
_UIDS = tuple(uid for uid, _, _ in SOURCES)
# There is no Mimir: who asks for it gets Prometheus.
_ALIASES = {"mimir": "prometheus"}


def check_source(uid: str, wanted: str) -> None:
    """Check that a call names the data source that its tool asks.

    Raises:
        Refused: 404 for a data source that does not exist, 400 for one of another kind.
    """
    name = _ALIASES.get(uid, uid)
    if name == wanted:
        return
    if name in _UIDS:
        raise Refused(400, "bad_data", f"the data source {uid} does not answer this tool; take {wanted}")
    raise Refused(404, "not_found", f"there is no data source with the uid {uid[:80]!r}; there are {', '.join(_UIDS)}")
