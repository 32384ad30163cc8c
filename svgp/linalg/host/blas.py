"""SciPy's BLAS and LAPACK on row-major NumPy arrays, without copies.

TensorFlow's float64 products on a CPU come from Eigen built for AVX without FMA and reach less than half
of what the machine can do; its Cholesky and triangular solve use one core. SciPy always ships a tuned
BLAS, and BLAS has triangular and symmetric products that do only the half that is needed.

The routines are called by their Fortran signatures at the addresses that `scipy.linalg.cython_blas` and
`cython_lapack` export: unlike the f2py wrappers these take leading dimensions (blocks of a matrix, no
copies), and ctypes releases Python's lock during a call. Fortran sees a row-major array as its
transpose, so a row-major lower triangle is an upper one there.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
from scipy.linalg import cython_blas, cython_lapack

from svgp.linalg.host import threads

_PREFIX = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}
_REAL = {np.dtype(np.float32): ctypes.c_float, np.dtype(np.float64): ctypes.c_double}
_ALIGNMENT = 64  # TensorFlow takes over a NumPy buffer without a copy only where it is so aligned


# How a capsule's C signature names a Fortran integer, and what that is here: a BLAS of 64-bit integers
# (ILP64) reads twice the bytes of an int.
_INTEGERS = {
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "long long": ctypes.c_longlong,
}


@cache
def _routine(name: str, dtype: np.dtype) -> tuple[Any, Any, int]:
    """The routine, the C type of its integers, and how many arguments it takes."""
    name = _PREFIX[dtype] + name
    module = cython_blas if name in cython_blas.__pyx_capi__ else cython_lapack
    capsule = module.__pyx_capi__[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = get_name(capsule)
    integer, count = _integers(name, signature.decode())
    return ctypes.CFUNCTYPE(None)(get_pointer(capsule, signature)), integer, count


def _integers(name: str, signature: str) -> tuple[Any, int]:
    """The C type of the integers in `void (char *, int *, ..._d *, ...)`, and the number of arguments.

    Raises ImportError where SciPy's routine takes anything that is not known here: calling it would read
    memory that is not its own.
    """
    head, _, arguments = signature.partition("(")
    kinds = [kind.strip().removesuffix("*").strip() for kind in arguments.rstrip(") ").split(",")]
    integers = {
        kind for kind in kinds if kind != "char" and not kind.endswith(("_s", "_d", "float", "double"))
    }
    known = len(integers) == 1 and integers <= _INTEGERS.keys()
    if head.strip() != "void" or not known:
        raise ImportError(
            f"SciPy's BLAS routine {name} has the C signature {signature!r}; expected void and pointers "
            f"to char, a real and one kind of integer ({', '.join(_INTEGERS)}): install the SciPy that "
            "constraints.txt names"
        )
    return _INTEGERS[integers.pop()], len(kinds)


def _call(name: str, dtype: np.dtype, *arguments: Any) -> None:
    """Call a Fortran routine: letters, integers, reals and arrays all go by address."""
    routine, integer, count = _routine(name, dtype)
    assert len(arguments) == count, (name, count)
    passed: list[Any] = []
    for argument in arguments:
        kind = type(argument)
        if kind is np.ndarray:
            passed.append(ctypes.c_void_p(argument.__array_interface__["data"][0]))
        elif kind is int:
            passed.append(_constant(integer, argument))
        elif kind is float:
            passed.append(_constant(_REAL[dtype], argument))
        elif kind is bytes:
            passed.append(ctypes.c_char_p(argument))
        elif isinstance(argument, float):  # NumPy's
            passed.append(_constant(_REAL[dtype], float(argument)))
        else:
            passed.append(ctypes.byref(argument))
    routine(*passed)


@lru_cache(maxsize=4096)
def _constant(kind: Any, value: float) -> Any:
    """The address of a number that no routine writes to: a call has up to eight, mostly the same."""
    return ctypes.byref(kind(value))


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised row-major array that TensorFlow can adopt without copying it."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + _ALIGNMENT, np.uint8)
    offset = -buffer.__array_interface__["data"][0] % _ALIGNMENT
    return np.ndarray(shape, dtype, buffer, offset)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    result = aligned_empty(array.shape, array.dtype)
    np.copyto(result, array)
    return result


def _stride(array: np.ndarray) -> int:
    """Leading dimension of a row-major matrix or of a block of one.

    Raises ValueError for any other: BLAS would read its numbers in another order, and return without a word.
    """
    if array.shape[-1] > 1 and array.strides[-1] != array.itemsize:
        raise ValueError(
            f"BLAS: a matrix of shape {array.shape} with strides {array.strides} is not row-major; "
            "pass np.ascontiguousarray of it"
        )
    # The strides that NumPy gives a single row may be anything.
    return max(array.strides[0] // array.itemsize, array.shape[-1], 1)


def cholesky_leaf(K: np.ndarray) -> bool:
    """Replace K's lower triangle by its Cholesky factor, on one core; False where there is none."""
    n = K.shape[-1]
    info = ctypes.c_int(0)
    _call("potrf", K.dtype, b"U", n, K, _stride(K), info)
    return info.value == 0


def invert_lower_leaf(L: np.ndarray) -> None:
    """Replace a lower triangle by its inverse, on one core."""
    n = L.shape[-1]
    _call("trtri", L.dtype, b"U", b"N", n, L, _stride(L), ctypes.c_int(0))


def product(
    A: np.ndarray,
    B: np.ndarray,
    out: np.ndarray,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
) -> None:
    """out = alpha A B + beta out, for matrices or blocks of matrices; A and B transposed where asked."""
    (rows, columns), inner = out.shape, A.shape[0 if transpose_a else 1]
    letter_a, letter_b = (b"T" if flag else b"N" for flag in (transpose_a, transpose_b))
    operations = 2.0 * rows * columns * inner

    def part(piece: slice) -> None:
        a, c = (A[:, piece] if transpose_a else A[piece]), out[piece]
        _call(
            "gemm", A.dtype, letter_b, letter_a, columns, len(c), inner,
            alpha, B, _stride(B), a, _stride(a), float(beta), c, _stride(c),
        )  # fmt: skip

    threads.run_all([partial(part, piece) for piece in threads.pieces(rows, operations)])


def triangular_product(T: np.ndarray, X: np.ndarray, transpose: bool = False) -> None:
    """X becomes T X, or T^T X, for a lower triangle T [M, M] and X [M, B]: M^2 B operations."""
    # Row-major T X is, to Fortran, X^T T^T with T^T upper and on the right.
    letter = b"T" if transpose else b"N"
    rows, columns = X.shape

    def part(piece: slice) -> None:
        x = X[:, piece]
        _call("trmm", X.dtype, b"R", b"U", letter, b"N", x.shape[1], rows, 1.0, T, _stride(T), x, _stride(X))

    threads.run_all([partial(part, piece) for piece in threads.pieces(columns, float(rows) ** 2 * columns)])


def triangular_product_right(X: np.ndarray, T: np.ndarray, transpose: bool = False) -> None:
    """X becomes X T, or X T^T, for a lower triangle T [M, M] and X [B, M]: M^2 B operations."""
    letter = b"T" if transpose else b"N"
    rows, columns = X.shape

    def part(piece: slice) -> None:
        x = X[piece]
        _call("trmm", X.dtype, b"L", b"U", letter, b"N", columns, len(x), 1.0, T, _stride(T), x, _stride(X))

    threads.run_all([partial(part, piece) for piece in threads.pieces(rows, float(columns) ** 2 * rows)])


def times_vector(A: np.ndarray, x: np.ndarray, transpose: bool = False) -> np.ndarray:
    """A x, or A^T x."""
    rows, columns = A.shape
    result = np.zeros(columns if transpose else rows, A.dtype)
    letter = b"N" if transpose else b"T"
    x = np.ascontiguousarray(x)
    _call("gemv", A.dtype, letter, columns, rows, 1.0, A, _stride(A), x, 1, 0.0, result, 1)
    return result


def add_outer(A: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """A += x y^T."""
    rows, columns = A.shape
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    _call("ger", A.dtype, columns, rows, 1.0, y, 1, x, 1, A, _stride(A))


def gram(A: np.ndarray, sign: float = 1.0, into: np.ndarray | None = None) -> np.ndarray:
    """Lower triangle of `into + sign A A^T`, A [M, B]: M^2 B operations; what lies above it is undefined."""
    rows, columns = A.shape
    result = aligned_empty((rows, rows), A.dtype) if into is None else into
    beta = 0.0 if into is None else 1.0

    def strip(start: int, stop: int) -> None:
        a, c = A[start:stop], result[start:stop, start:stop]
        if start:
            left = result[start:stop, :start]
            _call(
                "gemm", A.dtype, b"T", b"N", start, stop - start, columns,
                float(sign), A, _stride(A), a, _stride(a), beta, left, _stride(left),
            )  # fmt: skip
        if beta == 0.0:
            c[...] = 0.0
        add_gram(a, sign, c)

    # Strips of equal area: the work up to row r grows as r^2.
    count = len(threads.pieces(rows, float(rows) ** 2 * columns))
    edges = [round(rows * (index / count) ** 0.5) for index in range(count + 1)]
    threads.run_all([partial(strip, *edge) for edge in zip(edges[:-1], edges[1:], strict=True)])
    return result


def add_gram(A: np.ndarray, sign: float, out: np.ndarray) -> None:
    """The lower triangle of `out [M, M]` gets `sign A A^T` added, on one core; above it nothing changes."""
    rows, columns = A.shape
    _call("syrk", A.dtype, b"U", b"T", rows, columns, float(sign), A, _stride(A), 1.0, out, _stride(out))


def weighted_gram(A: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A diag(weights) A^T, symmetric and whole, for A [M, B] and weights [B] of any signs.

    A symmetric update takes a square root of the weights, so columns of either sign go separately:
    together they cost one update. Equal weights (Gaussian noise) need no scaling at all.
    """
    if weights.size and np.all(weights == weights[0]):
        return mirror_lower(gram(A, sign=weights[0].item()))
    positive = weights > 0
    if positive.all() or not positive.any():
        return mirror_lower(gram(A * np.sqrt(np.abs(weights)), sign=1.0 if positive.any() else -1.0))
    result = gram(np.compress(positive, A, axis=1) * np.sqrt(weights[positive]))
    return mirror_lower(gram(np.compress(~positive, A, axis=1) * np.sqrt(-weights[~positive]), -1.0, result))


def mirror_lower(A: np.ndarray, block: int = 256) -> np.ndarray:
    """Copy the lower triangle onto the upper one, in place, by blocks that stay in cache."""
    n = A.shape[-1]
    for start in range(0, n, block):
        stop = min(start + block, n)
        diagonal = A[start:stop, start:stop]
        lower = np.tril(diagonal)
        diagonal[...] = lower + np.tril(diagonal, -1).T
        A[start:stop, stop:] = A[stop:, start:stop].T
    return A


def zero_upper(A: np.ndarray, block: int = 256) -> np.ndarray:
    """Set everything above the diagonal to zero, in place."""
    n = A.shape[-1]
    for start in range(0, n, block):
        stop = min(start + block, n)
        A[start:stop, start:stop] = np.tril(A[start:stop, start:stop])
        A[start:stop, stop:] = 0.0
    return A
