"""Standard MCP on the Grafana front, with the names and arguments of mcp-grafana's tools."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse

from tests.gateway.agents import MATRIX, STREAMS, VECTOR, form, post, query
from tests.gateway.support import BEARER, FakeBackend, free_url, make_config, running, serving

if TYPE_CHECKING:
    import httpx2

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

PROMETHEUS, LOKI = {"datasourceUid": "prometheus"}, {"datasourceUid": "loki"}


@pytest.fixture(autouse=True)
def _answers(stack: Stack) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    stack.prometheus.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    stack.loki.always("/loki/api/v1/query_range", lambda: JSONResponse(STREAMS))


async def rpc(gateway: RunningGateway, method: str, params: dict[str, Any]) -> httpx2.Response:
    return await post(gateway, "/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


async def call(gateway: RunningGateway, tool: str, **arguments: object) -> dict[str, Any]:
    response = await rpc(gateway, "tools/call", {"name": tool, "arguments": arguments})
    assert response.status_code == 200
    return response.json()


def failure(answer: dict[str, Any]) -> str:
    """The text of a result that says that the call failed."""
    assert answer["result"]["isError"] is True
    (content,) = answer["result"]["content"]
    return content["text"]


async def data(gateway: RunningGateway, tool: str, **arguments: object) -> dict[str, Any]:
    result = (await call(gateway, tool, **arguments))["result"]
    assert json.loads(result["content"][0]["text"]) == result["data"]
    return result["data"]


async def test_a_session_begins_and_lists_the_tools(stack: Stack) -> None:
    begun = await rpc(stack.gateway, "initialize", {"protocolVersion": "2024-11-05", "capabilities": {}})
    assert begun.headers["mcp-session-id"]
    tools = (await rpc(stack.gateway, "tools/list", {})).json()["result"]["tools"]
    assert {tool["name"]: tool["inputSchema"]["required"] for tool in tools} == {
        "query_prometheus": ["datasourceUid", "expr"],
        "query_loki_logs": ["datasourceUid", "logql"],
        "list_datasources": [],
        "list_prometheus_metric_names": ["datasourceUid"],
        "list_prometheus_label_names": ["datasourceUid"],
        "list_prometheus_label_values": ["datasourceUid", "labelName"],
        "list_loki_label_names": ["datasourceUid"],
        "list_loki_label_values": ["datasourceUid", "labelName"],
    }


async def test_prometheus_is_queried_at_one_moment_or_over_a_range(stack: Stack) -> None:
    assert await data(stack.gateway, "query_prometheus", expr="up", **PROMETHEUS) == VECTOR["data"]
    ranged = {"startTime": "now-1h30m", "endTime": "now", "stepSeconds": 30}
    assert await data(stack.gateway, "query_prometheus", expr="up", **ranged, **PROMETHEUS) == MATRIX["data"]
    asked = form(stack.prometheus.seen[1])
    assert float(asked["end"]) - float(asked["start"]) == pytest.approx(5400, abs=1)
    assert float(asked["end"]) == pytest.approx(time.time(), abs=30)
    assert asked["step"] == "30.000"
    await data(stack.gateway, "query_prometheus", expr="up", queryType="instant", **ranged, **PROMETHEUS)
    assert {*form(stack.prometheus.seen[2])} == {"query", "time"}


async def test_loki_is_queried_over_a_range(stack: Stack) -> None:
    found = await data(stack.gateway, "query_loki_logs", logql="{a=`b`}", startRfc3339="now-5m", limit=7, **LOKI)
    assert found == STREAMS["data"]
    asked = form(stack.loki.seen[0])
    assert (asked["query"], asked["limit"]) == ("{a=`b`}", "7")
    assert int(asked["end"]) - int(asked["start"]) == pytest.approx(300e9, abs=1e9)
    assert asked["direction"] == "backward"
    await data(stack.gateway, "query_loki_logs", logql="{}", direction="forward", **LOKI)
    assert form(stack.loki.seen[1])["direction"] == "forward"
    answer = await call(stack.gateway, "query_loki_logs", logql="{}", way="forward", **LOKI)
    assert json.loads(answer["result"]["content"][1]["text"]) == {"ignored": ["way"]}


async def test_loki_is_queried_at_one_moment(stack: Stack) -> None:
    stack.loki.always("/loki/api/v1/query", lambda: JSONResponse(VECTOR))
    counted = {"logql": "count_over_time({a=`b`}[5m])", "queryType": "instant", **LOKI}
    assert await data(stack.gateway, "query_loki_logs", **counted) == VECTOR["data"]
    assert int(form(stack.loki.seen[0])["time"]) == pytest.approx(time.time() * 1e9, abs=30e9)
    assert "start" not in form(stack.loki.seen[0])
    for given in ({"endRfc3339": "2025-01-01T00:00:00Z"}, {"startRfc3339": "2025-01-01T00:00:00Z"}):
        await data(stack.gateway, "query_loki_logs", **given, **counted)
        assert form(stack.loki.seen[-1])["time"] == "1735689600000000000"


async def test_what_is_left_empty_or_zero_is_not_given(stack: Stack) -> None:
    empty = {"startTime": "", "endTime": "", "stepSeconds": 0, "queryType": ""}
    assert await data(stack.gateway, "query_prometheus", expr="up", **empty, **PROMETHEUS) == VECTOR["data"]
    within = {"startRfc3339": "", "endRfc3339": ""}
    more = {"limit": 0, "stepSeconds": 0, "direction": "", "queryType": ""}
    assert await data(stack.gateway, "query_loki_logs", logql="{}", **within, **more, **LOKI) == STREAMS["data"]
    assert form(stack.loki.seen[0])["limit"] == "100"
    stack.prometheus.always("/api/v1/label/__name__/values", lambda: JSONResponse({"data": ["x"]}))
    found = await data(stack.gateway, "list_prometheus_metric_names", limit=0, page=0, **within, **PROMETHEUS)
    assert found["values"] == ["x"]


async def test_a_model_is_told_how_series_are_selected(stack: Stack) -> None:
    tools = (await rpc(stack.gateway, "tools/list", {})).json()["result"]["tools"]
    told = {tool["name"] for tool in tools if "matches" in tool["inputSchema"]["properties"]}
    assert told == {"list_prometheus_label_names", "list_prometheus_label_values"}


async def test_data_sources_are_listed(stack: Stack) -> None:
    found = (await data(stack.gateway, "list_datasources"))["datasources"]
    assert [one["uid"] for one in found] == ["prometheus", "loki", "tempo"]
    (loki,) = (await data(stack.gateway, "list_datasources", type="Loki"))["datasources"]
    assert loki == {"id": 2, "uid": "loki", "name": "Loki", "type": "loki", "isDefault": False}


async def test_metrics_are_listed_page_by_page(stack: Stack) -> None:
    names = [f"metric_{number}" for number in range(25)]
    stack.prometheus.always("/api/v1/label/__name__/values", lambda: JSONResponse({"data": names}))
    found = await data(stack.gateway, "list_prometheus_metric_names", regex='pg_"up', limit=10, page=3, **PROMETHEUS)
    assert found["values"] == names[20:]
    asked = query(stack.prometheus.seen[0])
    assert asked["match[]"] == '{__name__=~".*(?:pg_\\"up).*"}'
    assert int(asked["end"]) - int(asked["start"]) == pytest.approx(3600, abs=2)


async def test_labels_are_listed(stack: Stack) -> None:
    for path in ("/api/v1/labels", "/api/v1/label/job/values"):
        stack.prometheus.always(path, lambda: JSONResponse({"data": ["x"]}))
    for path in ("/loki/api/v1/labels", "/loki/api/v1/label/app/values"):
        stack.loki.always(path, lambda: JSONResponse({"status": "success"}))
    filters = [{"name": "job", "type": "=", "value": 'a"b'}, {"name": "x", "type": "!~", "value": "c"}]
    matches = [{"filters": filters}, {"filters": filters[:1]}]
    assert (await data(stack.gateway, "list_prometheus_label_names", matches=matches, **PROMETHEUS))["values"] == ["x"]
    assert parse_qs(stack.prometheus.seen[0].query)["match[]"] == ['{job="a\\"b",x!~"c"}', '{job="a\\"b"}']
    values = await data(stack.gateway, "list_prometheus_label_values", labelName="job", **PROMETHEUS)
    assert values["values"] == ["x"]
    assert (await data(stack.gateway, "list_loki_label_names", **LOKI))["values"] == []
    assert (await data(stack.gateway, "list_loki_label_values", labelName="app", **LOKI))["values"] == []
    assert len(query(stack.loki.seen[0])["start"]) == 19


# Arguments of another form: no call.
MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("query_prometheus", {"expr": "up"}, "datasourceUid: Field required"),
    ("query_prometheus", {"expr": "up", "queryType": "x", **PROMETHEUS}, "queryType: Input should be"),
    ("query_loki_logs", {"logql": "{}", "direction": "up", **LOKI}, "direction: Input should be"),
    ("list_prometheus_label_names", {"matches": [{"filters": []}], **PROMETHEUS}, "matches: Tuple should have"),
    ("execute_promql_query", {}, "there is no tool of this name"),
]
# Calls that fail, as a model should read it.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("query_prometheus", {"expr": "up", "datasourceUid": "nope"}, "no data source with the uid 'nope'"),
    ("query_prometheus", {"expr": "up", "startTime": "now+1h", **PROMETHEUS}, "start is neither"),
    ("query_prometheus", {"expr": "up", "startTime": "now-", **PROMETHEUS}, "start is not a duration"),
    ("query_prometheus", {"expr": "up", "queryType": "range", **PROMETHEUS}, "range needs startTime"),
    ("list_prometheus_label_values", {"labelName": "../../../-/quit", **PROMETHEUS}, "name of a label"),
    ("list_prometheus_label_values", {"labelName": "a\n", **PROMETHEUS}, "name of a label"),
    ("list_prometheus_label_values", PROMETHEUS, "name of a label"),
    (
        "list_prometheus_label_names",
        {"matches": [{"filters": [{"name": '}"', "type": "=", "value": ""}]}], **PROMETHEUS},
        "name of a label",
    ),
    ("list_loki_label_names", {"regex": "x", "limit": 5000, **LOKI}, "limit of 1000"),
    ("list_loki_label_names", PROMETHEUS, "take loki"),
]


@pytest.mark.parametrize(("tool", "arguments", "part"), MALFORMED)
async def test_a_call_of_another_form_is_an_error_of_the_protocol(
    stack: Stack, tool: str, arguments: dict[str, Any], part: str
) -> None:
    error = (await call(stack.gateway, tool, **arguments))["error"]
    assert (error["code"], part in error["message"]) == (-32602, True)
    assert stack.prometheus.seen == stack.loki.seen == []


@pytest.mark.parametrize(("tool", "arguments", "part"), WRONG)
async def test_what_is_wrong_with_a_call_is_its_result(
    stack: Stack, tool: str, arguments: dict[str, Any], part: str
) -> None:
    assert part in failure(await call(stack.gateway, tool, **arguments))
    assert stack.prometheus.seen == stack.loki.seen == []


async def test_the_back_ends_own_words_are_the_result_of_a_query_that_it_refuses(stack: Stack) -> None:
    words = 'invalid parameter "query": 1:4: parse error: unexpected end of input'
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"status": "error", "error": words}, 400))
    assert failure(await call(stack.gateway, "query_prometheus", expr="up{", **PROMETHEUS)) == words


async def test_a_back_end_that_is_down_or_answers_rubbish_is_named_in_the_result() -> None:
    loki = FakeBackend("loki")
    loki.always("/loki/api/v1/labels", lambda: JSONResponse({"data": 5}))
    async with serving(loki) as url:
        config = make_config(backends__prometheus={"url": free_url()}, backends__loki={"url": url})
        async with running(config) as gateway:
            for tool, source in (("list_prometheus_label_names", PROMETHEUS), ("list_loki_label_names", LOKI)):
                assert source["datasourceUid"] in failure(await call(gateway, tool, **source))
            metrics = (await gateway.request("GET", "internal", "/metrics")).text
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="502",tool="list_loki_label_names"} 1.0' in metrics


@pytest.mark.parametrize(
    ("wanted", "agreed"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("2000-01-01", "2025-11-25"),
        (5, "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
async def test_the_version_of_the_protocol_is_agreed_upon(stack: Stack, wanted: object, agreed: str) -> None:
    begun = await rpc(stack.gateway, "initialize", {"protocolVersion": wanted, "capabilities": {}})
    assert begun.json()["result"]["protocolVersion"] == agreed


async def test_a_client_keeps_to_a_version_that_is_served(stack: Stack) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for version, status in (("2024-11-05", 200), ("2025-11-25", 200), ("2099-01-01", 400), ("", 400)):
        response = await post(stack.gateway, "/mcp", message, **{"MCP-Protocol-Version": version})
        assert response.status_code == status
    refused = await post(stack.gateway, "/mcp", message, **{"MCP-Protocol-Version": "x"})
    assert (refused.json()["id"], refused.json()["error"]["code"]) == (1, -32600)
    assert "2025-11-25" in refused.json()["error"]["message"]
    begin: dict[str, object] = {**message, "method": "initialize", "params": {"capabilities": {}}}
    response = await post(stack.gateway, "/mcp", begin, **{"MCP-Protocol-Version": "2099-01-01"})
    assert response.status_code == 200, "nothing is agreed upon yet"


async def test_there_is_no_stream_and_notifications_get_no_answer(stack: Stack) -> None:
    for method in ("GET", "DELETE"):
        response = await stack.gateway.request(method, "main", "/mcp", headers=BEARER)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    response = await post(stack.gateway, "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (response.status_code, response.content) == (202, b"")
