"""When going on gains nothing: known curves, with and without noise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svgp.training.convergence import MOST, Convergence


def end(curve, *, exact=True, steps_per_epoch=1, tolerance=1e-3, least=20, every=1):
    """The step after which the verdict is that training is done, and the verdict; asked `every` so many."""
    found = Convergence()
    for start in range(0, len(curve), every):
        values = curve[start : start + every]
        found.add(values, exact=exact, steps_per_epoch=steps_per_epoch)
        said = found.verdict(tolerance, least)
        if said:
            return start + len(values), said
    return None, None


@pytest.mark.parametrize("time", [10.0, 50.0, 200.0])
def test_a_decay_ends_soon_after_it_has_come_within_reach(time):
    t = np.arange(1, 3001)
    step, said = end(-np.exp(-t / time), every=2)
    near = time * np.log(1 / 0.002)  # where 0.002 nats are left
    assert np.exp(-step / time) < 0.002 and step < 1.5 * near
    assert said.startswith("converged: the last ") and "nats a row" in said and "0.001" in said


@pytest.mark.parametrize("power", [0.7, 1.0])
def test_a_slow_curve_ends_where_as_long_again_gains_less_than_the_tolerance(power):
    t = np.arange(1, 10_000.0)
    step, _ = end(-(t**-power), every=10)
    gain = step**-power - (2 * step) ** -power
    assert 3e-4 < gain < 2.5e-3  # the windows halve beyond 512 blocks, so it is not to the step


def test_a_plateau_that_begins_to_rise_goes_on():
    t = np.arange(1, 401.0)
    rising = 0.02 * np.tanh((t - 150) / 20)
    step, _ = end(np.where(t < 100, -np.exp(-t / 8), 0) + rising, tolerance=1e-5)
    assert step is None or step > 200
    assert end(1e-3 * t)[0] is None  # a straight line never does


def test_nothing_is_judged_before_a_method_has_settled():
    assert end(np.zeros(100), least=30)[0] == 30
    assert end(np.zeros(100), least=12)[0] == 12


def test_noise_of_batches_is_told_from_a_gain():
    generator = np.random.default_rng(0)
    t = np.arange(20_000)
    curve = -np.exp(-t / 800.0)
    noisy = curve + 0.02 * generator.normal(size=len(t))
    step, _ = end(noisy, exact=False, steps_per_epoch=20, every=20)
    near = 800 * np.log(1 / 0.002)
    assert 0.75 * near < step < 1.5 * near
    # The same steps with ten times the noise take longer to be sure of.
    loud, _ = end(curve + 0.2 * generator.normal(size=len(t)), exact=False, steps_per_epoch=20, every=20)
    assert loud is None or loud > step


@pytest.mark.parametrize("exact", [True, False])
def test_memory_is_bounded_and_a_checkpoint_goes_on_exactly(exact):
    generator = np.random.default_rng(1)
    values = np.cumsum(generator.normal(size=5000)) * 1e-4
    whole = Convergence()
    whole.add(values, exact=exact, steps_per_epoch=3)
    first = Convergence()
    first.add(values[:2345], exact=exact, steps_per_epoch=3)
    second = Convergence(**json.loads(json.dumps(first.to_dict())))
    second.add(values[2345:], exact=exact, steps_per_epoch=3)
    assert second == whole and len(whole.blocks) <= MOST
    steps = len(whole.blocks) * whole.size
    expected = values[whole.size - 1 : steps : whole.size]
    if not exact:
        expected = values[:steps].reshape(-1, whole.size).mean(axis=1)
    np.testing.assert_allclose(whole.blocks, expected, rtol=1e-12)
    whole.restart()
    assert whole.blocks == [] and whole.verdict(1.0, 0) is None
