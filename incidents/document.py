"""``python -m incidents.document``: writes docs/incidents/; ``--check`` says whether it is up to date."""

import sys
from pathlib import Path

from incidents.catalog import catalog
from incidents.model import Kind
from incidents.pages import answer_page

__all__ = ["documents"]

_FOLDER = Path(__file__).parent.parent / "docs" / "incidents"
_MADE = "<!-- Made from incidents/ by `python -m incidents.document`; the measured matrix is in docs/benchmarks.md. -->"


def documents() -> dict[str, str]:
    """File name -> content, for each definition and the index."""
    found = list(catalog().values())
    index = [
        _MADE,
        "",
        "# Incidents",
        "",
        "These pages give the answers away: they are for presenters, not for agents.",
        "",
        "| | incident | what it is about | alert | looks like |",
        "|-|-|-|-|-|",
    ]
    for one in found:
        number = str(one.rank) if one.kind is Kind.INCIDENT else str(one.kind)
        alike = ", ".join(other.other for other in one.look_alikes)
        alert = one.alert.name if one.alert else ""
        index.append(f"| {number} | [{one.name}]({one.name}.md) | {one.title} | {alert} | {alike} |")
    pages = {f"{one.name}.md": f"{_MADE}\n\n{answer_page(one)}" for one in found}
    return {"README.md": "\n".join(index) + "\n", **pages}


def main() -> int:
    """Returns the exit code."""
    wanted = documents()
    present = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.glob("*.md")} if _FOLDER.is_dir() else {}
    if "--check" in sys.argv[1:]:
        stale = sorted(name for name in wanted | present if wanted.get(name) != present.get(name))
        if stale:
            sys.stderr.write(
                f"docs/incidents is not up to date: {', '.join(stale)}; run python -m incidents.document.\n"
            )
        return 1 if stale else 0
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - wanted.keys():
        (_FOLDER / name).unlink()
    for name, content in wanted.items():
        (_FOLDER / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
