"""The form in which Prometheus and Loki answer a query, as far as a tool reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.agents.upstream import Upstream


def query_data(answer: Mapping[str, object], upstream: Upstream) -> dict[str, object]:
    """Return ``data``, which holds ``resultType`` and ``result``.

    Args:
        answer: the whole document.
        upstream: who answered.

    Raises:
        Refused: 502, the document has another form.
    """
    data = answer.get("data")
    if not isinstance(data, dict):
        raise upstream.rubbish()
    found = cast("dict[str, object]", data)
    if not isinstance(found.get("resultType"), str) or not isinstance(found.get("result"), list):
        raise upstream.rubbish()
    return found
