"""The block-banded solver against a dense one."""

import pytest
import torch

from learnable_smplify.solver.clip.banded import BandedColumns, solve_banded


def _system(frames: int, size: int, right: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A positive definite matrix of blocks, two below the diagonal, and right-hand sides."""
    generator = torch.Generator().manual_seed(seed)
    factor = torch.zeros(frames, size, frames, size, dtype=torch.float64)
    for away in range(3):
        for frame in range(frames - away):
            block = torch.randn(size, size, generator=generator, dtype=torch.float64)
            factor[frame + away, :, frame] = torch.tril(block) + 3 * torch.eye(size) if away == 0 else 0.5 * block
    flat = factor.reshape(frames * size, frames * size)
    return flat @ flat.T, torch.randn(frames, size, right, generator=generator, dtype=torch.float64)


def _columns_of(matrix: torch.Tensor, right: torch.Tensor):
    frames, size, _ = right.shape
    blocks = matrix.reshape(frames, size, frames, size)

    def columns(rows: slice) -> BandedColumns:
        inside = range(rows.start, rows.stop)
        found = BandedColumns.zeros(matrix, len(inside), size, right.shape[2])
        found.lower[...] = torch.nan  # of what lies beyond the last frame
        for index, frame in enumerate(inside):
            for later in range(min(3, frames - frame)):
                found.block(later)[index] = blocks[frame + later, :, frame]
        found.right[...] = right[rows]
        return found

    return columns


@pytest.mark.parametrize("frames", [1, 2, 3, 11])
@pytest.mark.parametrize("segment", [1, 2, 4, 100])
@pytest.mark.parametrize("kept", [0, 5, 200])
def test_the_solution_is_that_of_a_dense_solver_however_the_frames_are_cut(frames, segment, kept):
    matrix, right = _system(frames, 5, 3)
    solution = solve_banded(_columns_of(matrix, right), frames, segment, kept)
    dense = torch.linalg.solve(matrix, right.flatten(0, 1))
    assert solution is not None
    torch.testing.assert_close(solution.found.flatten(0, 1), dense)
    torch.testing.assert_close(solution.products, right.flatten(0, 1).T @ dense)


def test_a_matrix_that_is_not_positive_definite_is_told():
    matrix, right = _system(6, 4, 1)
    matrix[9, 9] = -1.0
    assert solve_banded(_columns_of(matrix, right), 6, 4) is None


def test_every_segment_but_the_last_is_asked_for_twice_and_no_more_each_with_two_frames_after():
    matrix, right = _system(10, 3, 1)
    columns, asked = _columns_of(matrix, right), []

    def counted(rows: slice) -> BandedColumns:
        asked.append((rows.start, rows.stop))
        return columns(rows)

    solve_banded(counted, 10, 4)
    assert asked == [(0, 6), (4, 10), (8, 10), (4, 10), (0, 6)]
