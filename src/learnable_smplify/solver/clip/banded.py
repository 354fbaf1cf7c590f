"""Symmetric systems whose unknowns come in blocks along time, each tied to its two neighbours on either side.

LAPACK's band Cholesky (`pbtrf`) from the first frame to the last, then back: linear in the number of frames. A frame's
part of the factor takes 3 N^2 numbers, too many to keep for a long recording, so the frames are worked off in segments:
on the way there only what a segment leaves of the matrix for the next is kept, on the way back each is factorised once
more. The answer is that of the whole system, and the memory that of one segment (plus 4 N^2 numbers a segment).

Source: Golub and Van Loan, "Matrix Computations", 4th ed., section 4.3 (band Cholesky).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class BandedColumns:
    """The columns of some frames, from the diagonal down, laid out as LAPACK has them.

    A column of a band matrix with 3 N bands below its diagonal takes 3 N + 1 numbers there, from the diagonal on. Those
    of a frame, one after the other, are the rows of an array (N, 3 N), whose upper triangle is zero, and N zeros.

    Args:
        packed: (T, N (3N + 1)).
        right: (T, N, M) right-hand sides.
    """

    packed: Float[Tensor, "T N*(3*N+1)"]
    right: Float[Tensor, "T N M"]

    @classmethod
    def zeros(cls, like: Tensor, frames: int, size: int, right: int) -> BandedColumns:
        """Of so many frames, blocks and right-hand sides."""
        return cls(like.new_zeros(frames, size * (3 * size + 1)), like.new_zeros(frames, size, right))

    @property
    def lower(self) -> Float[Tensor, "T N 3*N"]:
        """Transposed columns of blocks: (t, t), (t+1, t) and (t+2, t) side by side; a view.

        What stands above the diagonal is not read, nor what lies beyond the last frame of the system.
        """
        frames, size = self.right.shape[:2]
        return self.packed[:, : 3 * size * size].view(frames, size, 3 * size)

    @property
    def diagonal(self) -> Float[Tensor, "T N N"]:
        """Blocks (t, t), symmetric; a view."""
        return self.lower[:, :, : self.right.shape[1]]

    def block(self, later: int) -> Float[Tensor, "T N N"]:
        """Blocks (t + later, t); a view."""
        size = self.right.shape[1]
        return self.lower[:, :, later * size : (later + 1) * size].mT

    def frames(self, rows: slice) -> BandedColumns:
        """Some of them; a view."""
        return BandedColumns(self.packed[rows], self.right[rows])


@dataclass(frozen=True, eq=False)
class BandedSolution:
    """What `solve_banded` found.

    Args:
        found: (T, N, M) the solutions A^-1 b.
        products: (M, M) b^T A^-1 b, for Schur complements.
    """

    found: Float[Tensor, "T N M"]
    products: Float[Tensor, "M M"]


@one_blas_thread()
def solve_banded(
    columns_of: Callable[[slice], BandedColumns], frames: int, segment: int, kept: int = 0
) -> BandedSolution | None:
    """Solve the system; None where it is not positive definite.

    Args:
        columns_of: the columns of the frames of a slice, in memory that may be overwritten. Asked for every segment
            with the two frames after it, and once more for those whose factor was not kept.
        frames: number of blocks T.
        segment: frames worked off at once.
        kept: frames at most, from the last back, whose factor is kept instead of made twice.
    """
    starts = list(range(0, frames, segment))
    first_kept = len(starts) - max(1, kept // segment)
    rests: list[_Rest | None] = [None]
    factors: list[_Factor] = []
    products: np.ndarray | float = 0.0

    def factor_of(number: int) -> _Factor | None:
        own = slice(starts[number], min(starts[number] + segment, frames))
        columns = columns_of(slice(own.start, min(own.stop + 2, frames)))
        return _Factor.of(columns, own.stop - own.start, rests[number])

    for number in range(len(starts)):
        factor = factor_of(number)
        if factor is None:
            return None
        rests.append(factor.rest())
        own = factor.half[: factor.own]
        products = own.T @ own + products  # what these frames have of b^T A^-1 b
        if number >= first_kept:
            factors.append(factor)
    size, sides, device = factors[-1].size, factors[-1].half.shape[1], factors[-1].device
    found = np.zeros((frames * size, sides))
    for number in reversed(range(len(starts))):
        last = factors.pop() if factors else factor_of(number)
        assert last is not None  # it was positive definite on the way there
        first = starts[number] * size
        later = found[first + last.own : first + len(last.half)]
        found[first : first + last.own] = last.substituted_back(later)
    solution = torch.from_numpy(found.reshape(frames, size, sides))
    return BandedSolution(solution.to(device), torch.as_tensor(products).to(device))


@dataclass(frozen=True, eq=False)
class _Rest:
    """What frames that were eliminated leave of the two after them: their matrix and right-hand sides."""

    matrix: Float[np.ndarray, "E*N E*N"]
    right: Float[np.ndarray, "E*N M"]


@dataclass(frozen=True, eq=False)
class _Factor:
    """The Cholesky factor L of some frames and of the two after them, given what those before left.

    Args:
        band: L as LAPACK lays it out.
        half: L^-1 b.
        own: unknowns of the frames, without the two after them.
        size: unknowns of a frame.
        device: that the columns came from.
    """

    band: Float[np.ndarray, "3*N+1 U"]
    half: Float[np.ndarray, "U M"]
    own: int
    size: int
    device: torch.device

    @classmethod
    def of(cls, columns: BandedColumns, frames: int, before: _Rest | None) -> _Factor | None:
        """None where the matrix is not positive definite; the columns are overwritten."""
        from scipy.linalg import lapack

        size = columns.right.shape[1]
        packed, right = columns.packed.cpu(), columns.right.flatten(0, 1).cpu().numpy()
        lower = BandedColumns(packed, columns.right).lower
        if before is not None:
            corner = torch.from_numpy(before.matrix)
            for frame in range(len(corner) // size):
                here = corner[frame * size :, frame * size : (frame + 1) * size]
                lower[frame, :, : len(here)] = here.T
            right[: len(corner)] = before.right
        lower[:, :, :size] *= torch.ones(size, size, dtype=lower.dtype).triu()
        band, failed = lapack.dpbtrf(packed.numpy().reshape(-1, 3 * size + 1).T, lower=1, overwrite_ab=1)
        if failed != 0:
            return None
        half, _ = lapack.dtbtrs(band, right, uplo="L")
        return cls(band, half, frames * size, size, columns.right.device)

    def rest(self) -> _Rest | None:
        """What they leave of those after them; None where nothing comes after."""
        after = self._after()
        return _Rest(after @ after.T, after @ self.half[self.own :]) if len(after) else None

    def substituted_back(self, later: Float[np.ndarray, "E*N M"]) -> Float[np.ndarray, "O M"]:
        """The solution of the frames, given that of those after."""
        from scipy.linalg import lapack

        half = self.half.copy()
        half[self.own :] = self._after().T @ later
        return lapack.dtbtrs(self.band, half, uplo="L", trans="T")[0][: self.own]

    def _after(self) -> Float[np.ndarray, "E*N E*N"]:
        """The factor's block of the frames after, as a matrix."""
        count, bands = self.half.shape[0] - self.own, self.band.shape[0]
        block = np.zeros((count, count))
        for column in range(count):
            part = self.band[: min(count - column, bands), self.own + column]
            block[column : column + len(part), column] = part
        return block
