from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import for_backend, for_caller, one

NAME = st.sampled_from([
    b"accept", b"accept-encoding", b"authorization", b"connection", b"content-length", b"content-type", b"cookie",
    b"forwarded", b"host", b"keep-alive", b"origin", b"proxy-authorization", b"te", b"traceparent",
    b"transfer-encoding", b"upgrade", b"user-agent", b"x-forwarded-for", b"x-grafana-id", b"x-grafana-org-id",
    b"x-original-url", b"x-prometheus-x", b"x-scope-orgid", b"x-webauth-user", b"x_webauth_user", b"x-custom",
])  # fmt: skip
HEADERS = st.lists(st.tuples(NAME, st.binary(max_size=20)), max_size=12)
NEVER_TO_A_BACKEND = {
    b"authorization", b"connection", b"content-length", b"cookie", b"forwarded", b"host", b"keep-alive", b"origin",
    b"proxy-authorization", b"te", b"transfer-encoding", b"upgrade", b"x-forwarded-for", b"x-grafana-id",
    b"x-original-url", b"x-scope-orgid", b"x-webauth-user", b"x_webauth_user",
}  # fmt: skip


@given(HEADERS, st.booleans())
def test_no_secret_identity_or_connection_header_reaches_a_back_end(
    headers: list[tuple[bytes, bytes]], grafana: bool
) -> None:
    passed = for_backend(headers, grafana=grafana)
    assert not NEVER_TO_A_BACKEND & {name for name, _ in passed}
    assert all(header in headers for header in passed), "nothing is changed or made up"


@given(HEADERS)
def test_what_a_query_needs_does_reach_it(headers: list[tuple[bytes, bytes]]) -> None:
    wanted = [
        header for header in headers if header[0] in {b"accept", b"accept-encoding", b"content-type", b"user-agent"}
    ]
    assert for_backend(headers) == wanted


def test_only_grafana_gets_the_headers_of_its_own_pages() -> None:
    headers = [(b"x-grafana-org-id", b"1"), (b"x-panel-id", b"2")]
    assert for_backend(headers) == []
    assert for_backend(headers, grafana=True) == headers


RESPONSE = st.lists(
    st.tuples(
        st.sampled_from([
            b"Access-Control-Allow-Origin", b"Connection", b"Content-Encoding", b"Content-Length", b"Content-Type",
            b"Date", b"Keep-Alive", b"Server", b"Set-Cookie", b"Transfer-Encoding", b"Vary", b"X-Named",
            b"WWW-Authenticate",
        ]),
        st.sampled_from([b"a", b"x-named", b"close, X-Named", b""]),
    ),
    max_size=10,
)  # fmt: skip


@given(RESPONSE)
def test_no_session_cors_or_connection_header_reaches_the_caller(headers: list[tuple[bytes, bytes]]) -> None:
    names = {name for name, _ in for_caller(headers, base_url="http://b")}
    assert not names & {
        b"access-control-allow-origin", b"connection", b"date", b"keep-alive", b"server", b"set-cookie",
        b"transfer-encoding", b"www-authenticate",
    }  # fmt: skip
    connection = b",".join(value for name, value in headers if name == b"Connection").lower()
    if b"x-named" in connection:
        assert b"x-named" not in names, "a header that Connection names belongs to the connection"


def test_the_encoding_and_length_of_the_body_do_reach_the_caller() -> None:
    headers = [
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"5"),
        (b"Content-Type", b"a/b"),
        (b"Vary", b"Accept"),
    ]
    assert for_caller(headers, base_url="http://b") == [(name.lower(), value) for name, value in headers]


def test_a_redirect_of_a_back_end_to_itself_stays_with_the_gateway() -> None:
    def location(value: bytes) -> bytes:
        return for_caller([(b"location", value)], base_url="http://prometheus:9090")[0][1]

    assert location(b"http://prometheus:9090/query?x=1") == b"/query?x=1"
    assert location(b"http://prometheus:9090") == b"/"
    assert location(b"/query") == b"/query"
    assert location(b"http://prometheus:90901/x") == b"http://prometheus:90901/x"


def test_a_header_that_may_appear_once_counts_for_nothing_when_repeated() -> None:
    assert one([(b"a", b"1"), (b"b", b"2")], b"a") == b"1"
    assert one([(b"a", b"1"), (b"a", b"2")], b"a") is None
    assert one([], b"a") is None
