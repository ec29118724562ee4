"""A small chart as inline SVG: a line with the area below it, and the objective as a dashed line."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from gateway.status.html import Markup, fill, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 300
HEIGHT = 64
_TOP = 4
_BOTTOM = HEIGHT - 2
# A line that is nearly flat stays flat: without this, noise of a thousandth would fill the whole height.
_HEADROOM = 1.15

_SVG = (
    '<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{label}">'
    "{objective}{lines}</svg>"
)
_OBJECTIVE = '<line class="objective" x1="0" x2="{width}" y1="{y}" y2="{y}"/>'
_AREA = '<path class="area" d="{path}"/>'
_LINE = '<polyline class="line" points="{points}"/>'
_DOT = '<line class="dot" x1="{x}" x2="{x}" y1="{y}" y2="{y}"/>'


def sparkline(values: Sequence[float | None], *, label: str, objective: float | None = None) -> Markup:
    """Return the chart.

    Args:
        values: at equal steps, oldest first; None leaves a gap.
        label: what a screen reader says.
        objective: drawn when the values come near it, so that a healthy chart is not flattened by a line far above.
    """
    known = [value for value in values if value is not None]
    peak = max(known, default=0.0)
    shown = objective is not None and peak * 2 >= objective
    top = max(peak, objective if shown and objective is not None else 0.0) * _HEADROOM or 1.0
    step = WIDTH / max(len(values) - 1, 1)

    def y(value: float) -> str:
        return f"{_BOTTOM - (_BOTTOM - _TOP) * max(value, 0.0) / top:.1f}"

    runs = _runs(values)
    lines = join(_run([(f"{at * step:.1f}", y(value)) for at, value in run]) for run in runs)
    line = fill(_OBJECTIVE, width=WIDTH, y=y(objective)) if shown and objective is not None else Markup()
    return fill(_SVG, width=WIDTH, height=HEIGHT, label=label, objective=line, lines=lines)


def _runs(values: Sequence[float | None]) -> Iterable[list[tuple[int, float]]]:
    """Return the stretches without a gap."""
    for missing, run in groupby(enumerate(values), key=lambda pair: pair[1] is None):
        if not missing:
            yield [(at, value) for at, value in run if value is not None]


def _run(points: list[tuple[str, str]]) -> Markup:
    if len(points) == 1:
        return fill(_DOT, x=points[0][0], y=points[0][1])
    line = " ".join(f"{x},{y}" for x, y in points)
    area = f"M{points[0][0]},{HEIGHT} L{' '.join(f'{x},{y}' for x, y in points)} L{points[-1][0]},{HEIGHT} Z"
    return join((fill(_AREA, path=area), fill(_LINE, points=line)))
