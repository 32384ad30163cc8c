"""A column of the table as the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.means.functions import Mean
from svgp.means.start import MeanStart


class Column(Mean):
    """m(x) = factor x_c + shift for input column c: what an earlier model or a theory says, in the target's
    units.

    `factor` and `shift`, [L] each, are not trained; they undo the scaling of the column and do that of the
    target: a value z of the table, x_c = (z - mean_c) / scale_c, gives (z - mean_y) / scale_y.
    """

    def __init__(
        self, column: int, factor: Any = 1.0, shift: Any = 0.0, *, dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype=dtype, name=name)
        self.column = int(column)
        factor, shift = (np.atleast_1d(np.asarray(x, self.dtype.as_numpy_dtype)) for x in (factor, shift))
        self.factor = tf.Variable(factor, trainable=False, name="factor")
        self.shift = tf.Variable(shift, trainable=False, name="shift")

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        """Raises ModelError where the column is not among the inputs."""
        name = stated["column"]
        if name not in start.names:
            raise ModelError(
                f"model.mean: column: {name!r} is not an input; the inputs are {', '.join(start.names)}"
            )
        place = list(start.names).index(name)
        at = place if len(start.input_mean) == start.num_inputs else 0
        ones = np.ones(start.num_latent)
        spread = start.target_scale * ones
        return {
            "column": place,
            "factor": start.input_scale[at] / spread,
            "shift": (start.input_mean[at] - start.target_mean) * ones / spread,
        }

    def __call__(self, X: Any) -> tf.Tensor:
        X = tf.cast(tf.convert_to_tensor(X, dtype_hint=self.dtype), self.dtype)  # [N, D]
        return X[:, self.column, None] * self.factor + self.shift  # [N, L]
