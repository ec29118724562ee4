"""Tools of mcp-grafana that list data sources, metrics and labels, under its names and with its arguments."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from gateway.agents.schema import DATASOURCE, END, START, schema
from gateway.agents.sources import SOURCES, check_source
from gateway.agents.tool import GivenInt, GivenText, Outcome, Parameters, Text, read, unknown
from gateway.problems import Refused
from gateway.traceql.strings import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.bounds import Bounds
    from gateway.agents.upstream import Form, Upstream

# The only thing of a caller that becomes part of a path.
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LIMIT, _MOST = 100, 1000
_HOUR = 3600.0
_NAME = {"labelName": ("text", "The label")}
_MATCHES = {
    "type": "array",
    "description": "Selectors of series; each has filters, all of which hold",
    "items": {
        "type": "object",
        "properties": {
            "filters": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "value": {"type": "string"},
                        "type": {"type": "string", "enum": ["=", "!=", "=~", "!~"]},
                    },
                    "required": ["name", "value", "type"],
                },
            }
        },
        "required": ["filters"],
    },
}
_RANGE = {"startRfc3339": START, "endRfc3339": END, "limit": ("number", "Most results; 100 if not given")}


class _Sources(Parameters):
    type: Text = ""
    name: Text = ""


class ListDatasources:
    """``list_datasources``."""

    name = "list_datasources"
    description = "List the data sources with their uids, which other tools want."
    schema: Mapping[str, object] = schema({}, type=("text", "Part of the type"), name=("text", "Part of the name"))

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return ``datasources``."""
        del span
        given = read(_Sources, parameters)
        found = [
            {"id": number, "uid": uid, "name": name, "type": kind, "isDefault": number == 1}
            for number, (uid, name, kind) in enumerate(SOURCES, start=1)
            if given.type.lower() in kind and given.name.lower() in name.lower()
        ]
        return Outcome(data={"datasources": found})


class _Filter(Parameters):
    name: Text
    value: Text
    type: Literal["=", "!=", "=~", "!~"]


class _Selector(Parameters):
    filters: Annotated[tuple[_Filter, ...], Field(min_length=1, max_length=20)]

    def text(self) -> str:
        for one in self.filters:
            _check_label(one.name)
        return "{" + ",".join(f"{one.name}{one.type}{quote(one.value)}" for one in self.filters) + "}"


class _List(Parameters):
    datasourceUid: Text  # noqa: N815 - mcp-grafana's names
    labelName: Text = ""  # noqa: N815
    regex: Text = ""
    startRfc3339: GivenText = None  # noqa: N815
    endRfc3339: GivenText = None  # noqa: N815
    limit: GivenInt = None
    page: GivenInt = None
    matches: Annotated[tuple[_Selector, ...], Field(max_length=20)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListValues:
    """A tool that lists names or values of labels.

    Attributes:
        name: of the tool.
        description: of the tool.
        source: uid of the data source.
        upstream: who answers.
        path: of its API; ``{label}`` stands for the label that the caller names.
        bounds: of a call.
    """

    name: str
    description: str
    source: str
    upstream: Upstream
    path: str
    bounds: Bounds

    @property
    def schema(self) -> Mapping[str, object]:
        """JSON schema of the arguments."""
        if self._of_metrics:
            paging = {"regex": ("text", "Regular expression"), "page": ("number", "Page, from 1")}
            return schema(DATASOURCE, **paging, **_RANGE)
        more = {"matches": _MATCHES} if self.source == "prometheus" else {}
        return schema({**DATASOURCE, **(_NAME if "{label}" in self.path else {})}, more, **_RANGE)

    @property
    def _of_metrics(self) -> bool:
        return self.path.endswith("/__name__/values")

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return ``values``, and in the metadata how many there are in all."""
        given = read(_List, parameters)
        check_source(given.datasourceUid, self.source)
        first, last = self.bounds.window(given.startRfc3339, given.endRfc3339, back=_HOUR, now=time.time())
        limit = self.bounds.count(given.limit, default=_LIMIT, most=_MOST, unit="results")
        skipped = (self.bounds.count(given.page, default=1, most=_MOST, unit="pages", name="page") - 1) * limit
        unit = 1 if self.source == "prometheus" else 1_000_000_000
        form: dict[str, str | list[str]] = {"start": str(int(first) * unit), "end": str((int(last) + 1) * unit)}
        selectors = [selector.text() for selector in given.matches]
        if self._of_metrics and given.regex:
            selectors.append(f"{{__name__=~{quote(f'.*(?:{self.bounds.query(given.regex)}).*')}}}")
        if selectors and self.source != "prometheus":
            raise Refused(400, "bad_data", "matches is for Prometheus's labels only")
        if selectors:
            form["match[]"] = selectors
        path = self.path
        if "{label}" in path:
            _check_label(given.labelName)
            path = path.replace("{label}", given.labelName)
        values = await self._ask(path, form, span)
        metadata: dict[str, object] = {"total": len(values), **unknown(_List, parameters)}
        return Outcome(data={"values": values[skipped : skipped + limit]}, metadata=metadata)

    async def _ask(self, path: str, form: Form, span: Span) -> list[object]:
        answer = await self.upstream.get(path, form, span)
        # Loki leaves data out where there is nothing.
        values = answer.get("data", [])
        if not isinstance(values, list):
            raise self.upstream.rubbish()
        return cast("list[object]", values)


def _check_label(name: str) -> None:
    if not _LABEL.fullmatch(name):
        raise Refused(400, "bad_data", "the name of a label is letters, digits and underscores")


def listing_tools(prometheus: Upstream, loki: Upstream, bounds: Bounds) -> list[ListValues]:
    """Return the tools that list names and values of labels."""

    def tool(name: str, what: str, source: str, path: str) -> ListValues:
        upstream = prometheus if source == "prometheus" else loki
        description = f"List {what}, by default of the last hour."
        return ListValues(
            name=name, description=description, source=source, upstream=upstream, path=path, bounds=bounds
        )

    return [
        tool("list_prometheus_metric_names", "names of metrics", "prometheus", "/api/v1/label/__name__/values"),
        tool("list_prometheus_label_names", "names of Prometheus's labels", "prometheus", "/api/v1/labels"),
        tool(
            "list_prometheus_label_values", "values of a Prometheus label", "prometheus", "/api/v1/label/{label}/values"
        ),
        tool("list_loki_label_names", "names of Loki's labels", "loki", "/loki/api/v1/labels"),
        tool("list_loki_label_values", "values of a Loki label", "loki", "/loki/api/v1/label/{label}/values"),
    ]
