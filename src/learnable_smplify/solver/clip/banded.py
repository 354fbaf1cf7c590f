"""Symmetric systems whose unknowns come in blocks along time, each tied to its two neighbours on either side.

Block Cholesky from the first frame to the last, then back: linear in the number of frames. A column of the factor takes
3 N^2 numbers, too many to keep for a long recording, so the frames are worked off in segments: on the way there only
the little that the next segment must know is kept, on the way back each segment is factorised once more. The answer is
that of the whole system, and the memory that of two segments (plus 4 N^2 numbers a segment): one is put together while
another is worked off.

In torch and not in numba: the work is in matrix products of 75 x 75 and 150 x 75, which BLAS does best.

Source: Golub and Van Loan, "Matrix Computations", 4th ed., section 4.3 (band Cholesky), by blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class BandedColumns:
    """The columns of some frames, from the diagonal down.

    Args:
        diagonal: (T, N, N) block (t, t).
        below: (T, 2N, N) blocks (t+1, t) and (t+2, t) on top of each other; what lies beyond the last frame of the
            system is not read.
        right: (T, N, M) right-hand sides.
    """

    diagonal: Float[Tensor, "T N N"]
    below: Float[Tensor, "T 2*N N"]
    right: Float[Tensor, "T N M"]


@dataclass(frozen=True, eq=False)
class _Carry:
    """What the frames so far take away from the next two: from their matrix and from their right-hand sides."""

    matrix: Float[Tensor, "2*N 2*N"]
    right: Float[Tensor, "2*N M"]


@dataclass(frozen=True, eq=False)
class BandedSolution:
    """What `solve_banded` found.

    Args:
        found: (T, N, M) the solutions A^-1 b.
        products: (M, M) b^T A^-1 b, for Schur complements.
    """

    found: Float[Tensor, "T N M"]
    products: Float[Tensor, "M M"]


def solve_banded(
    columns_of: Callable[[slice], BandedColumns], frames: int, segment: int, kept: int = 0
) -> BandedSolution | None:
    """Solve the system; None where it is not positive definite.

    Args:
        columns_of: the columns of the frames of a slice, in memory that may be overwritten. Asked twice for every
            segment but the last, and those kept.
        frames: number of blocks T.
        segment: frames worked on at once.
        kept: frames at most, from the last back, whose factor is kept instead of made twice.
    """
    slices = [slice(first, min(first + segment, frames)) for first in range(0, frames, segment)]
    first_kept = len(slices) - max(1, kept // segment)
    factors: list[BandedColumns] = []
    carries: list[_Carry | None] = [None]
    products: Tensor | float = 0.0
    for index, columns in enumerate(_ahead(columns_of, slices)):
        carry = _factorise(columns, carries[-1], after=frames - slices[index].stop)
        if carry is None:
            return None
        carries.append(carry)
        half = columns.right.flatten(0, 1)  # L^-1 b
        products = half.T @ half + products
        if index >= first_kept:
            factors.append(columns)
    assert isinstance(products, Tensor)
    size, right = factors[-1].right.shape[1:]
    found = products.new_empty(frames, size, right)
    later = products.new_zeros(2 * size, right)
    while factors:
        later = _substitute_back(factors.pop(), later, found[slices.pop()])
    for columns in _ahead(columns_of, slices[::-1]):
        rows = slices.pop()
        _factorise(columns, carries[len(slices)], after=frames - rows.stop)
        later = _substitute_back(columns, later, found[rows])
    return BandedSolution(found, products)


def _ahead(columns_of: Callable[[slice], BandedColumns], slices: Sequence[slice]) -> Iterator[BandedColumns]:
    """The columns of one slice after the other, those of the next being put together meanwhile."""
    if not slices:
        return
    threads = torch.get_num_threads()  # of this thread; one that is new has as many as there are processors
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        coming = pool.submit(columns_of, slices[0])
        for rows in slices[1:]:
            columns, coming = coming.result(), pool.submit(columns_of, rows)
            yield columns
        yield coming.result()


def _factorise(columns: BandedColumns, carry: _Carry | None, *, after: int) -> _Carry | None:
    """Turn columns into those of the Cholesky factor, and right-hand sides b into L^-1 b, in place.

    `after` is the number of frames that follow; None is returned where the matrix is not positive definite.
    """
    diagonal, below, right = columns.diagonal, columns.below, columns.right
    frames, size = diagonal.shape[:2]
    for away in (1, 2):  # nothing lies beyond the last frame
        below[max(frames + after - away, 0) :, (away - 1) * size : away * size] = 0
    if carry is None:
        matrix, vector = diagonal.new_zeros(2 * size, 2 * size), right.new_zeros(2 * size, right.shape[2])
    else:
        matrix, vector = carry.matrix.clone(), carry.right.clone()
    head, tail = slice(None, size), slice(size, None)
    corner = diagonal.new_zeros(size, size)
    for frame in range(frames):
        block, failed = torch.linalg.cholesky_ex(diagonal[frame].sub_(matrix[head, head]))
        if int(failed) != 0:
            return None
        diagonal[frame] = block
        column = below[frame]
        column[head] -= matrix[tail, head]
        solved = torch.linalg.solve_triangular(block, column.T, upper=False).T
        below[frame] = solved
        right[frame] = torch.linalg.solve_triangular(block, right[frame] - vector[head], upper=False)
        corner.copy_(matrix[tail, tail])
        torch.mm(solved, solved.T, out=matrix)
        matrix[head, head] += corner
        shifted = vector[tail].clone()
        torch.mm(solved, right[frame], out=vector)
        vector[head] += shifted
    return _Carry(matrix, vector)


def _substitute_back(columns: BandedColumns, later: Tensor, found: Tensor) -> Tensor:
    """Fill in the solution of these frames, given that of the two frames after; returns that of their first two."""
    size = columns.diagonal.shape[1]
    for frame in reversed(range(len(found))):
        right = columns.right[frame] - columns.below[frame].T @ later
        found[frame] = torch.linalg.solve_triangular(columns.diagonal[frame].T, right, upper=True)
        later = torch.cat((found[frame], later[:size]))
    return later
