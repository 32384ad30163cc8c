"""From a trained model and its rows to what it should say of new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from svgp.errors import NumericalError
from svgp.kernels import Kernel
from svgp.likelihoods import Gaussian
from svgp.models.predictive.cavities import Cavities, cavities, without_sites
from svgp.models.predictive.corrections import NeighbourRows
from svgp.models.predictive.leave_one_out import LEAST_GAIN, LEAST_TOTAL, is_better
from svgp.models.predictive.left_out import LeftOut, Verdict
from svgp.models.predictive.predictive import Predictive
from svgp.models.predictive.sparse import Parts, SparseRows
from svgp.models.predictive.taken_out import find_posterior, folds, predicted, related, seen_jointly

ROWS = 3000  # that are left out, one at a time
FEWEST_ROWS = 30  # that can tell whether neighbours help
FEWEST_CALIBRATED = 100  # and how wide predictions should be
# Of the squared error without neighbours: a density gained everywhere does not make up for rows far off.
# Trained for the evidence, bike (nearly linear in two inputs) had a few whose neighbours say little. A row
# that outweighs all others makes a difference of one standard error, and then one of FAR or more; less than
# that must be beyond chance.
WORSE, FAR, OUTWEIGHS = 1.02, 1.1, 0.9
SURE = 2.0  # standard errors of a difference: k rows that outweigh all others make the root of k
# Of the training rows, more inducing points than which lie at most of them: what is unexplained there is next
# to nothing, and says not what it is at new points (concrete, a point at each row: beta 18, 78% of the test
# rows in the 50% interval and NLPD .28 worse than with 1).
CROWDED = 0.5
COUNTS = (32, 64, 128)  # neighbours that are weighed where their number is not given
WEIGHED_ROWS = 1000  # of those left out, by which


def fit_predictive(
    model: Any,
    X: np.ndarray,
    Y: np.ndarray,
    *,
    neighbours: int | Literal["auto"] = 0,
    calibrate: bool = True,
    seed: int = 0,
    own: Any = None,
    sites: Sites | None = None,
    unseen: np.ndarray | None = None,
) -> Predictive:
    """What `model`, trained on scaled rows X `[N, D]`, Y `[N, P]`, should say of new ones.

    `neighbours`: how many training rows near a point a prediction sees; `auto`: the fewest of COUNTS of which
    twice as many do not say more of rows left out. `own`: an SVGP of their own, whose
    q(u) was found together with them (`svgp.models.neighbours.evidence`). Without one, the model's residuals
    are corrected, or for Gaussian noise q(u) is found anew together with the neighbours, kernel and Z as they
    are: whichever says more of the rows left out; and no neighbours where they say no more than the inducing
    points alone. `sites`: further rows that are neighbours, without Gaussian noise. `calibrate`: find c, beta
    and the shape of the errors. `unseen`: numbers of rows that kernel, noise and Z were not fitted to, which
    tell best how large errors are; None: any are left out. Raises NumericalError where Kuu has no factor.
    """
    sparse = SparseRows(model)
    lacking = _lacks(model, X)
    most = COUNTS[-1] if neighbours == "auto" else neighbours
    count = min(most, len(X) - 1) if lacking is None else 0
    pool = np.arange(len(X)) if unseen is None else unseen
    chosen = np.sort(np.random.default_rng([seed, 23]).permutation(pool)[:ROWS])
    targets = Y[:, : model.likelihood.num_outputs(model.num_functions)]  # NaN where one is missing
    known = len(chosen) >= FEWEST_ROWS and bool(np.all(np.ptp(targets, axis=0) > 0))
    calibrate = calibrate and len(chosen) >= FEWEST_CALIBRATED
    if not known or not (calibrate or count):
        return Predictive(model, sparse=sparse)
    # Neighbours need the residuals of all rows, calibration those of some.
    used = np.arange(len(X)) if count else chosen
    parts = sparse.parts(X[used])
    cavity = cavities(model.likelihood, parts, Y[used])
    if count and sites is not None:
        # They come last, so that rows left out keep their numbers.
        others = sparse.parts(sites.X)
        more = without_sites(others, sites.target, sites.noise)
        parts = Parts(*map(_stacked, parts, others))
        mean, explained, target, noise = map(_stacked, cavity[:-1], more[:-1])
        cavity = Cavities(mean, explained, target, noise, cavity.invalid)
        X = _stacked(X, sites.X)
    at = chosen if count else slice(None)
    alone = LeftOut.alone(model, Y[chosen], parts, cavity, at)
    ways: list[LeftOut] = []
    verdicts: list[Verdict] = []
    single = _without_twin(X, chosen)
    crowded = unseen is None and model.num_inducing > CROWDED * len(X)

    def judge(way: LeftOut) -> Verdict:
        by_folds = way.prior is not None  # which take the points at a row out with it
        way.single, way.tells_residual = single, by_folds or not crowded
        ways.append(way)
        verdicts.append(way.judge(calibrate))
        return verdicts[-1]

    judge(alone)
    if count:
        after = NeighbourRows(model, X, cavity.residual, cavity.noise, count)

        def corrected(count: int, at: np.ndarray) -> LeftOut:
            return LeftOut.corrected(after.with_count(count), Y[at], parts, cavity, X, at)

        # Nats a row by which rows that `own` was fitted to flatter it: one for each number that it learnt
        # (Akaike 1974), of which the others learnt none here; LEAST_TOTAL are asked for anyway. 405 rows of
        # 300 inputs gained .19 so and lost .3 at new rows.
        flattered = own is not None and unseen is None
        flattery = max(0.0, learnt_numbers(own) - LEAST_TOTAL) / len(X) if flattered else 0.0
        joint = None if own is None else _joint(own, X, Y, chosen, count, seed, unseen is not None)
        if neighbours == "auto":
            few = chosen[np.sort(np.random.default_rng([seed, 37]).permutation(len(chosen))[:WEIGHED_ROWS])]
            count = _enough(joint or corrected, few, count, calibrate)
        verdict = judge(corrected(count, chosen))
        if joint is None:
            own = _found_together(model, X, Y, verdict.calibration.noise, seed)
            joint = None if own is None else _joint(own, X, Y, chosen, count, seed, unseen is not None)
        if joint is not None:
            found = judge(joint(count, chosen))
            verdicts[-1] = found._replace(density=found.density - flattery)
    best = _best(verdicts, len(chosen))
    calibration, density, _, rows, *_ = verdicts[best]
    summary = {
        "neighbours": 0 if rows is None else rows.count,
        "neighbours_asked": count if neighbours == "auto" else neighbours,
        "neighbours_need": lacking if neighbours else None,
        "jointly": rows is not None and rows.joint is not None,
        "jitter": None if rows is None else float(rows.model.jitter),
        "rows_left_out": len(chosen),
        "log_density": density,
        "log_density_sparse": verdicts[0].density,
        "log_density_uncalibrated": alone.judge(False).density,
        "invalid_sites": cavity.invalid,
        "noise_factor": calibration.noise.tolist(),
        "residual_factor": calibration.residual.tolist(),
        "normal_errors": calibration.is_normal,
        **(ways[best].proximity(calibration) if rows is not None else {}),
    }
    return Predictive(model, calibration, rows, summary, sparse=sparse)


def learnt_numbers(model: Any) -> int:
    """How many numbers of kernel, noise and mean training has found; inducing points are not among them."""
    parts = (model.kernel, model.likelihood, model.mean)
    return sum(int(np.size(v)) for part in parts for v in part.trainable_variables)


class Sites(NamedTuple):
    """Rows of which the sites are known and not the observations: X `[S, D]`, the others `[S, L]`."""

    X: np.ndarray
    target: np.ndarray
    noise: np.ndarray


def _stacked(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate([one, other])


def _lacks(model: Any, X: np.ndarray) -> str | None:
    """What a model's predictions need to see neighbours, and it has not."""
    if model.outputs.mixes:  # a residual of a mixture is no residual of one latent's process
        return "outputs that do not mix latent GPs"
    if model.separate_points:
        return "one set of inducing points for all latent GPs"
    return None if shares_a_kernel(model.kernel, X) else "one kernel for all latent GPs"


def _best(verdicts: Sequence[Verdict], rows: int) -> int:
    """The number of the one to be taken; the first is of the inducing points alone.

    Ways with neighbours must have a density that is higher by a margin, and errors that are no larger; where
    f is not in the targets' units, a density that is higher by more than chance. Of those with the least
    squared error, or one that is larger by what chance explains, it is the one of the highest density: for
    squared errors 3% smaller pol took the way whose density was .13 nats lower.
    """
    alone, found = verdicts[0], list(enumerate(verdicts))[1:]
    found = [(n, v) for n, v in found if is_better(v.density, alone.reached, rows)]
    found = [(n, v) for n, v in found if not _errs(v.squares, alone.squares)]
    found = [(n, v) for n, v in found if not _few_gain(v.densities, alone.densities)]
    if found and all(v.squares is not None for _, v in found):
        least = min((v.squares for _, v in found), key=np.mean)
        found = [(n, v) for n, v in found if not _errs(v.squares, least)]
    return max(found, key=lambda pair: pair[1].density, default=(0, alone))[0]


def _errs(squares: np.ndarray | None, alone: np.ndarray | None) -> bool:
    """Whether squared errors `[T]` are on the average larger than these, by more than chance explains."""
    if squares is None or alone is None:
        return False
    more, before = squares - alone, float(np.mean(alone))
    worse, error = float(np.mean(more)), float(np.std(more)) / np.sqrt(len(more))
    beyond_chance = worse > max((WORSE - 1.0) * before, SURE * error)
    return beyond_chance or worse > max((FAR - 1.0) * before, OUTWEIGHS * error)


def _few_gain(densities: np.ndarray | None, alone: np.ndarray | None) -> bool:
    """Whether what densities `[T]` gain on the average may be chance: a few rows far off outweigh all others.

    Targets of a wide range that nobody has scaled are such: the few largest decide.
    """
    if densities is None or alone is None:
        return False
    gain = densities - alone
    chance = SURE * float(np.std(gain)) / np.sqrt(len(gain))
    return not float(np.mean(gain)) > chance  # nor where one of them is not finite


def _without_twin(X: np.ndarray, at: np.ndarray) -> np.ndarray | None:
    """Which of the rows `at [T]` of X `[N, D]` no other row equals; None where these are too few to tell.

    A row that stands in the table twice is predicted by its twin without error. In wine, of which a fifth is
    there twice, that hid larger errors of all others, with a noise that had gone to nothing.
    """
    rows = [row.tobytes() for row in X + 0.0]  # one zero, not two
    times = Counter(rows)
    single = np.array([times[rows[row]] == 1 for row in at])
    return single if single.sum() >= FEWEST_ROWS else None


def shares_a_kernel(kernel: Kernel, inputs: np.ndarray) -> bool:
    """Whether all latent GPs have the same one."""
    return kernel.K_diag(inputs[:1]).shape.rank == 1


# Of so many neighbours and some training rows, what is known of these when each is left out.
Way = Callable[[int, np.ndarray], LeftOut]


def _enough(way: Way, at: np.ndarray, most: int, calibrate: bool) -> int:
    """The fewest of COUNTS of which twice as many gain next to nothing, or `most`."""
    count = min(COUNTS[0], most)
    reached = way(count, at).judge(calibrate).reached
    while count < most:
        twice = min(2 * count, most)
        found = way(twice, at).judge(calibrate).reached
        if found - reached <= LEAST_GAIN:
            break
        count, reached = twice, found
    return count


def _joint(
    own: Any, X: np.ndarray, Y: np.ndarray, chosen: np.ndarray, most: int, seed: int, at_once: bool
) -> Way | None:
    rows = seen_jointly(own, X, Y, most)
    try:
        parts = folds(rows, X, Y, chosen, seed, at_once)
    except NumericalError:
        return None

    def way(count: int, at: np.ndarray) -> LeftOut:
        return predicted(parts, rows.with_count(count), X, Y, at)

    return way


def _found_together(model: Any, X: np.ndarray, Y: np.ndarray, factors: np.ndarray, seed: int) -> Any:
    """The model with noise times c and the q(u) that belongs to its neighbours; None where there is none."""
    own = isinstance(model.likelihood, Gaussian) and model.likelihood.noise == "shared"
    if not own or model.likelihood.variance.shape.rank or model.dtype != "float64":
        return None
    floor = model.likelihood.floor
    noise = max(float(np.mean(factors)) * float(model.likelihood.noise_variance()), 1.01 * floor, 1e-10)
    own = related(model, likelihood=Gaussian(noise, floor=floor))
    try:
        find_posterior(own, X, Y, seed)
    except NumericalError:
        return None
    return own
