"""Panels of rows dealt out to lanes."""

from __future__ import annotations

from svgp.models.collapsed.panels import Lanes


def test_fewer_rows_than_the_most_may_be_cut_into_longer_panels():
    """As the blocks of a stream are, which have as many rows as their row groups give."""
    lanes = Lanes(100, 3, chunk=30)  # four panels of 25
    for rows in range(1, 101):  # 58 rows: two of 29
        seen = []

        def take(lane, number, part, seen=seen):
            seen.append(len(lane.panel(part.stop - part.start).values))

        lanes.run(take, lambda: True, rows)
        assert sum(seen) == rows
