"""Sessions that were cut off, told from looks at a pool."""

import pytest

from incidents.runner.damage import CutOffSessions


@pytest.mark.parametrize(
    ("looks", "cut_off"),
    [
        pytest.param([{1, 2, 3, 4}, {5, 6}], 4, id="between two looks"),
        pytest.param([{1, 2, 3, 4}, {3, 4, 5}, {5, 6}], 4, id="a look in the midst of it"),
        pytest.param([{1, 2, 3, 4}, set[int](), {5, 6}], 4, id="nobody is back yet"),
        pytest.param([{1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {4, 5, 6}], 0, id="a pool that renews itself"),
        pytest.param([{1, 2}, {3}], 0, id="too few to be a pool"),
    ],
)
def test_all_at_once_is_told_from_one_by_one(looks: list[set[int]], cut_off: int) -> None:
    sessions = CutOffSessions()
    for pids in looks:
        sessions.look(pids)
    assert sessions.cut_off == cut_off
