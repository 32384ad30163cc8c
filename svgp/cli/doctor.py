"""The command doctor."""

from __future__ import annotations

import typer

from svgp.cli.output import print_metrics
from svgp.cli.quiet import import_tensorflow


def doctor() -> None:
    """Show versions and devices, and run a five-second self-test; exit code 1 if it fails."""
    import_tensorflow()
    from svgp.runs.environment import describe_environment
    from svgp.runs.self_test import self_test
    from svgp.training.device import choose_device, describe_device

    device = describe_device(choose_device("auto"))
    known = describe_environment(device=device, precision="float64", data={})
    print_metrics({name: known[name] for name in ("svgp", "python", "platform", "cpu_cores", "device")})
    print_metrics(known["packages"])
    passed = True
    for check in self_test():
        print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.seen}")
        passed &= check.passed
    if not passed:
        raise typer.Exit(1)
