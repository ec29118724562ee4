from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.paths import BadPath, normalise

RAW = st.one_of(
    st.binary(max_size=60).map(lambda rest: b"/" + rest),
    st.lists(
        st.sampled_from(
            ["api", "v1", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", "%25", "", "a%20b", "%00", "ü", "query"]
        ),
        max_size=6,
    ).map(lambda parts: ("/" + "/".join(parts)).encode("latin-1")),
)
SEGMENT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/\\%"), min_size=1, max_size=12
).filter(lambda text: text not in {".", ".."})


@given(RAW)
def test_what_is_passed_on_means_the_same_to_every_reader(raw: bytes) -> None:
    try:
        path = normalise(raw)
    except BadPath:
        return
    assert path.text == unquote(path.raw), "the judged path is the sent path"
    assert normalise(path.raw.encode()) == path, "normalising twice changes nothing"
    assert unquote(path.text) == path.text, "a second decoding finds nothing"
    assert path.raw.isascii()
    assert path.raw.startswith("/")
    assert not {".", ".."} & set(path.text.split("/"))
    assert "//" not in path.text
    assert "\\" not in path.text
    assert not any(ord(character) < 0x20 for character in path.text)


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_every_ordinary_path_passes(segments: list[str]) -> None:
    text = "/" + "/".join(segments)
    assert normalise(quote(text).encode()).text == text


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "characters"),
        (b"api", "characters"),
        (b"/a b", "characters"),
        (b"/a%2", "incomplete encoding"),
        (b"/a%zz", "incomplete encoding"),
        (b"/\xc3\xbc", "characters"),
        (b"/a\\..\\b", "characters"),
        (b"/api/../admin", "dot segments"),
        (b"/api/%2e%2E/admin", "dot segments"),
        (b"/api/.%2e/admin", "dot segments"),
        (b"/./api", "dot segments"),
        (b"/api/..", "dot segments"),
        (b"/api%2f..%2fadmin", "encoded slash"),
        (b"/api%2F%2Fadmin", "encoded slash"),
        (b"/api%5cadmin", "encoded slash or backslash"),
        (b"/api%252e%252e", "encoded twice"),
        (b"//evil.example/api", "empty segments"),
        (b"/api//query", "empty segments"),
        (b"/api%00", "control characters"),
        (b"/api%0d%0aX:y", "control characters"),
        (b"/%ff", "not UTF-8"),
        (b"/%c0%ae%c0%ae/", "not UTF-8"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadPath, match=why):
        normalise(raw)


@pytest.mark.parametrize(
    ("raw", "text", "sent"),
    [
        (b"/", "/", "/"),
        (b"/api/v1/query/", "/api/v1/query/", "/api/v1/query/"),
        (b"/label/%5f_name__/values", "/label/__name__/values", "/label/__name__/values"),
        (b"/services/a%20b", "/services/a b", "/services/a%20b"),
        (b"/services/z%C3%BCrich", "/services/zürich", "/services/z%C3%BCrich"),
        (b"/a;b=c/@x", "/a;b=c/@x", "/a;b=c/@x"),
        (b"/a%3fb", "/a?b", "/a%3Fb"),
        (b"/a%23b", "/a#b", "/a%23b"),
    ],
)
def test_one_canonical_encoding_is_sent(raw: bytes, text: str, sent: str) -> None:
    path = normalise(raw)
    assert (path.text, path.raw) == (text, sent)
