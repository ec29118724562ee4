"""The documents agree with the code: the drawing, the table of ports, every link."""

import re
from pathlib import Path

import pytest

from infra.config import DemoConfig, load_stack_config, stack_names
from infra.paths import REPOSITORY
from infra.program import make_topology
from infra.topology.diagram import to_mermaid
from infra.topology.model import Topology

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#")


def topology(stack: str) -> Topology:
    return make_topology(stack, load_stack_config(REPOSITORY, stack))


def links(document: str) -> set[str]:
    """Relative links and image paths, without those in code."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", document, flags=re.DOTALL | re.MULTILINE)
    found = {(one or other).partition("#")[0] for one, other in _LINK.findall(prose)}
    return {link for link in found if link and not _ELSEWHERE.match(link)}


def port_table() -> list[tuple[int, str]]:
    """Port and key, from rows of ports | what | keys."""
    (table,) = re.findall(r"^\| port \| what \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, flags=re.MULTILINE)
    pairs: list[tuple[int, str]] = []
    for row in table.splitlines():
        ports, _, keys = (cell.strip() for cell in row.strip("|").split("|"))
        pairs.extend(zip(map(int, ports.split(", ")), re.findall(r"`(\w+)`", keys), strict=True))
    return pairs


def test_the_drawing_is_what_the_command_draws() -> None:
    (drawing,) = re.findall(
        r"^<!-- topology of airgap: made by ./demo topology airgap -->\n```mermaid\n(.*?)```\n<!-- end -->$",
        README,
        flags=re.DOTALL | re.MULTILINE,
    )
    assert drawing == to_mermaid(topology("airgap"))


@pytest.mark.parametrize("stack", stack_names(REPOSITORY))
def test_the_table_of_ports_has_every_published_port_with_its_key(stack: str) -> None:
    published = [(port.host_port, port.host_port_key) for _, port in topology(stack).published()]
    assert sorted(port_table()) == sorted(published)


def test_every_key_of_the_table_of_ports_is_one_of_the_configuration_with_this_default() -> None:
    defaults = {field.alias: field.default for field in DemoConfig.model_fields.values()}
    assert {key: port for port, key in port_table()} == {
        alias: default for alias, default in defaults.items() if alias and alias.endswith("Port")
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_names_a_file_of_the_repository(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [link for link in sorted(links(text)) if not (document.parent / link).exists()] == []


def test_links_are_found_in_every_way_to_write_them() -> None:
    text = (
        '![a picture](docs/a.png) [b](b.md#part) [c](<c.md> "title") <img alt="d" src="d.png"> <a href="e.md">e</a>\n'
        "[web](https://example.com) [mail](mailto:x@example.com) [here](#here) `[f](f.md)`\n```sh\n[g](g.md)\n```\n"
    )
    assert links(text) == {"docs/a.png", "b.md", "c.md", "d.png", "e.md"}
    assert "docs/architecture.md" in links(README)
