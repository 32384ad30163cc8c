"""What one pass over a table on the disk gathers of its rows, on each side of the split, and rows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svgp.data.streamed.rows import ParquetRows, Reader
from svgp.data.streamed.scan import Sample, Sums
from svgp.rows import Moments

SAMPLE = 1 << 17  # training rows at hand
NEAR = 1 << 19  # training rows, at most, among which predictions look for neighbours
NEAR_BYTES = 1 << 28  # and so many bytes; but no fewer than SAMPLE


@dataclass
class Found:
    """What a pass gathered of the rows on one side of the split; NaN is a value that is missing."""

    sums: Sums
    sample: Sample
    counts: np.ndarray  # of each row group

    def rows(self, reader: Reader, limit: int = SAMPLE) -> ParquetRows:
        """As rows that `reader` reads."""
        at_hand = self.sample.rows(SAMPLE)
        at_hand = at_hand[:: -(-len(at_hand) // limit)]
        columns, sums = reader.columns, self.sums
        D = len(columns.input_names)
        low, high, mean = (columns.scale(edge[None, :])[0][0] for edge in (sums.low, sums.high, sums.mean))
        X, Y = columns.scale(at_hand)
        if columns.transforms:
            target_mean, target_std = np.nanmean(Y, axis=0), np.nanstd(Y, axis=0)
        else:
            target_mean = columns.scale(sums.mean[None, :])[1][0]
            target_std = columns.scale((sums.mean + sums.std)[None, :])[1][0] - target_mean
        std = sums.std[:D] / columns.input_scale
        for place in [columns.input_names.index(name) for name in columns.squeezed]:
            mean[place], std[place] = X[:, place].mean(), X[:, place].std()
        moments = Moments(mean, std, target_mean, target_std)
        near = columns.scale(self.sample.rows()) if self.sample.limit > SAMPLE else None
        return ParquetRows(reader, self.counts, (low, high), moments, (X, Y), near=near)

    def keep(self, places: np.ndarray) -> None:
        """Forget the columns that are not among `places`."""
        self.sums.keep(places)
        self.sample.keep(places)


def near_rows(columns: int) -> int:
    """How many training rows of so many numbers are kept for predictions with neighbours."""
    return max(SAMPLE, min(NEAR, NEAR_BYTES // (8 * max(1, columns))))


def gather(reader: Reader) -> tuple[Found, Found | None]:
    """One pass over the table: its training rows, and its test rows where a hash tells them."""
    sizes = len(reader.names), len(reader.pieces)
    sides = [
        Found(Sums(sizes[0]), Sample(limit), np.zeros(sizes[1], np.int64))
        for limit in ([near_rows(sizes[0])] if reader.split is None else [near_rows(sizes[0]), SAMPLE])
    ]
    for number in range(len(reader.pieces)):
        for values in reader.raw(number):
            held = None if reader.split is None else reader.mask(values)
            seen = reader.columns.with_gaps(values, np.nan) if reader.columns.gaps else values
            for side, found in enumerate(sides):
                mine = seen if held is None else seen[held == bool(side)]
                found.sums.add(mine)
                found.sample.add(mine)
                found.counts[number] += len(mine)
    return sides[0], sides[1] if len(sides) > 1 and sides[1].sums.rows else None
