"""`Track`: one person as one camera saw them over time. The value that leaves a detector."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.motion import checked_numbers


@dataclass(frozen=True, eq=False)
class Track:
    """One person in the pictures of one camera.

    Args:
        keypoints: over all frames of the recording; confidence 0 where the person is not seen.
        name: of the person, as the file has it or by number; people of different cameras have nothing to do with
            each other.
        world: (T, K, 3) the detector's own guess of the keypoints in space, metres about the hips, in the axes of a
            camera that looks straight at the person (x right, y down, z away); NaN where there is none. None without.

    Raises:
        InputError: `world` of another shape.
    """

    keypoints: Keypoints2D
    name: str = "0"
    world: Float[Tensor, "T K 3"] | None = None

    def __post_init__(self) -> None:
        if self.world is None:
            return
        shape = (*self.keypoints.pixels.shape[:2], 3)
        object.__setattr__(self, "world", checked_numbers(self.world, "world", shape, finite=False))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keypoints)

    @property
    def frames_seen(self) -> int:
        """In how many frames anything of the person is seen."""
        return int((self.keypoints.confidence > 0).any(dim=1).sum())
