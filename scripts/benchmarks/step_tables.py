"""Tables of a benchmark of steps: times, memory, agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.step import EQUAL, Result
from benchmarks.table import table

Rates = Mapping[str, Mapping[str, float]]


def tables(results: Sequence[Result], rates: Rates, *, markdown: bool) -> str:
    """All tables, each under a line that says what it shows."""
    done = [result for result in results if result.seconds.get("ours")]
    if not done:
        return "nothing was measured"
    parts = [
        "Time of a step: value and gradient of the ELBO, Adam's update; medians of interleaved rounds.",
        table([time_row(result, rates) for result in done], markdown=markdown),
        "Peak memory, MiB: of the whole process, and (+) above what it took with its libraries loaded.",
        table([memory_row(result) for result in done], markdown=markdown),
    ]
    checked = [result for result in done if result.elbo_differences]
    if checked:
        worst = max(
            [0.0]
            + [x for r in checked for x in [*r.differences.values(), r.elbo_differences.get("GPflow", 0)]]
        )
        verdict = "within" if worst <= EQUAL else "NOT within"
        parts += [
            f"Agreement in float64, relative: ELBO, gradients; {verdict} {EQUAL:g} of GPflow's.",
            table([check_row(result) for result in checked], markdown=markdown),
        ]
    failures = [f"{result.case}: {text}" for result in results for text in result.failures.values()]
    return "\n\n".join(parts + failures)


def case_cells(result: Result) -> dict[str, str]:
    """What identifies a row."""
    case = result.case
    return {
        "M": str(case.M),
        "B": str(case.B),
        "dtype": case.dtype,
        "whitened": "yes" if case.whiten else "no",
    }


def time_row(result: Result, rates: Rates) -> dict[str, str]:
    """Milliseconds, ratios (medians of the rounds' own), operations, rate, share of the machine's."""
    case, ours = result.case, result.seconds["ours"]
    row = case_cells(result)
    row |= {f"{name} ms": f"{1e3 * np.median(times):.1f}" for name, times in result.seconds.items()}
    for name, times in result.seconds.items():
        if name != "ours":
            ratios = [theirs / mine for theirs, mine in zip(times, ours, strict=False)]
            row[f"{name} / ours"] = f"{np.median(ratios):.2f}"
    rate = case.operations / np.median(ours)
    row |= {"Gop": f"{case.operations / 1e9:.2f}", "Gop/s": f"{rate / 1e9:.0f}"}
    shares = rates[case.float_type].items()
    return row | {f"of {name} matmul": f"{rate / machine:.0%}" for name, machine in shares}


def memory_row(result: Result) -> dict[str, str]:
    """Peak memory of each library's process."""
    row = case_cells(result)
    for name, peak in result.peak_mib.items():
        row |= {name: f"{peak:.0f}", f"{name} +": f"{peak - result.loaded_mib[name]:.0f}"}
    return row


def check_row(result: Result) -> dict[str, str]:
    """Relative differences between ours and the peers'."""
    elbos = {f"ELBO, {name}": f"{error:.1e}" for name, error in result.elbo_differences.items()}
    return case_cells(result) | elbos | {name: f"{error:.1e}" for name, error in result.differences.items()}


def machine_line(rates: Rates, cores: int, size: int) -> str:
    """What the shares are relative to."""
    found = [
        f"{dtype}: " + ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in by_name.items())
        for dtype, by_name in rates.items()
    ]
    return f"{cores} cores; matrix product of size {size}, Gop/s, the best of the run: {'; '.join(found)}"
