"""`model.neighbours`: training rows near a point, on whose residuals its prediction is conditioned."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from svgp.config.base import Section, WholeNumber, setting


class NeighboursConfig(Section):
    """What the inducing points leave unexplained, predicted from the training rows nearest to a point."""

    example: ClassVar[str] = "{count: auto, fit: evidence}"

    count: Annotated[WholeNumber, Field(ge=0, le=512)] | Literal["auto"] = setting(
        "auto",
        "training rows near a point that its prediction sees; 0: the inducing points alone; auto: 32, or two "
        "or four times as many where rows left out gain by it",
        unit="rows",
    )  # fmt: skip
    fit: Literal["evidence", "after"] = setting(
        "evidence",
        "evidence: for Gaussian noise, training goes on with a kernel, noise and inducing points of its own "
        "for predictions with neighbours (others: as after); after: the trained model, corrected",
    )
