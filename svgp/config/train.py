"""`train`: the optimiser, when it stops, what it logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from svgp.config.base import Section, WholeNumber, setting


class TrainConfig(Section):
    """How the model is trained, for how long, and how often it reports."""

    example: ClassVar[str] = "{max_epochs: 100, learning_rate: 0.01}"

    method: Literal["auto", "adam", "natgrad", "collapsed"] = setting(
        "auto", "the optimiser; auto chooses by likelihood, rows and inducing points, and says why"
    )
    batch_size: Annotated[WholeNumber, Field(ge=1, le=10**8)] | Literal["auto"] = setting(
        "auto",
        "rows a step, all rows when there are fewer; auto: 1,024, and all rows for natgrad where L-BFGS on "
        "all of them is less work",
        unit="rows",
    )
    max_epochs: WholeNumber | None = setting(
        None,
        "stop after so many passes over the training rows; null: when it has converged, see 'tolerance'",
        unit="epochs", ge=1, le=10**9,
    )  # fmt: skip
    max_steps: WholeNumber | None = setting(
        None, "stop after so many steps; null: no limit", unit="steps", ge=1, le=10**12
    )
    max_seconds: float | None = setting(
        None, "stop after so much training time, evaluation left out; null: no limit",
        unit="seconds", gt=0,
    )  # fmt: skip
    tolerance: float | None = setting(
        1e-3,
        "converged, and done, where going on for as long again would gain less than this; null: no such end",
        unit="nats a row", gt=0, le=1,
    )  # fmt: skip
    learning_rate: float | None = setting(
        None,
        "Adam's step size; null: the method's own (adam 0.01; natgrad 0.1 for hyperparameters, or L-BFGS, "
        "which needs none, where a batch holds all rows); natgrad moves inducing inputs by 0.01 or so",
        unit="a step in parameters", gt=0, le=10,
    )  # fmt: skip
    evaluate_every: float = setting(1.0, "how often the test rows are predicted", unit="epochs", gt=0)
    log_every: WholeNumber = setting(10, "how often a metrics row is written", unit="steps", ge=1, le=10**9)
    checkpoint_every: float = setting(60.0, "how often all state is saved", unit="seconds", gt=0)
    patience: WholeNumber | None = setting(
        None,
        "stop after so many evaluations without a better objective (the ELBO, but for model.bound: ppgpr); "
        "null: never",
        unit="evaluations", ge=1, le=10**9,
    )  # fmt: skip
    subset_rows: Annotated[WholeNumber, Field(ge=1, le=10**10)] | Literal["auto"] | None = setting(
        "auto",
        "for collapsed: fit hyperparameters and inducing points to so many random rows, then q(u) to all "
        "rows in one pass; auto: all but a tenth (2,000 at most, none below 2,000 rows), by which "
        "predictions are calibrated, or as many as the time allows; null: all rows",
        unit="rows",
    )  # fmt: skip
    restarts: WholeNumber = setting(
        1,
        "starts (other seeds, other lengthscales) that are tried with a quarter of the budget together; "
        "the one with the best bound goes on",
        unit="starts", ge=1, le=100,
    )  # fmt: skip
    seed: WholeNumber = setting(
        0, "seed of the shuffle and of the inducing points", unit="a seed", ge=0, le=2**31 - 1
    )
    precision: Literal["float64", "float32", "mixed"] = setting(
        "float64", "of the arithmetic; mixed: float32 with float64 where a GP needs it"
    )
    device: Literal["auto", "cpu", "gpu", "gpus"] = setting(
        "auto",
        "where it runs; auto: a GPU if there is one; gpus: all of this machine's together, batch_size rows "
        "on each",
    )
    tensorboard: bool = setting(False, "write TensorBoard logs as well (needs the tensorboard extra)")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        ends = (self.max_epochs, self.max_steps, self.max_seconds, self.patience, self.tolerance)
        if all(end is None for end in ends):
            yield (
                "",
                "training would never end: give one of 'max_epochs', 'max_steps', 'max_seconds', 'tolerance'",
            )
        if self.subset_rows not in (None, "auto") and self.method in ("adam", "natgrad"):
            yield (
                "subset_rows",
                f"is for method: collapsed (or auto), and method is {self.method}, which takes batches",
            )
