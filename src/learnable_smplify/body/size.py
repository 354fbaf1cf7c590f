"""How tall, heavy and stout a body of given betas is: what scales, clothes and eyes see of a shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body

# Of a person, lungs half full [kg/m^3].
DENSITY = 1000.0


@dataclass(frozen=True, eq=False)
class RestMesh:
    """The mesh in the rest pose as a function of betas, whose sizes torch can differentiate.

    Args:
        template: (V, 3) for betas 0, metres.
        shapedirs: (V, 3, S) change per unit of each beta, metres.
        faces: (F, 3) triangles, turned outwards.
    """

    template: Float[Tensor, "V 3"]
    shapedirs: Float[Tensor, "V 3 S"]
    faces: Int[Tensor, "F 3"]

    @staticmethod
    def of(body: Body, device: torch.device | str = "cpu") -> RestMesh:
        """A body's."""
        arrays = body.arrays
        template = torch.as_tensor(arrays.v_template, dtype=torch.float32, device=device)
        shapedirs = torch.as_tensor(arrays.shapedirs, dtype=torch.float32, device=device)
        return RestMesh(template, shapedirs, body.faces.to(device))

    def height_and_weight(self, betas: Float[Tensor, "10"]) -> tuple[Tensor, Tensor]:
        """Height [m] and weight [kg], each a scalar tensor.

        The volume is the sum of the tetrahedra between the origin and each triangle, with their signs.
        """
        vertices = self.template + self.shapedirs @ betas
        first, second, third = vertices[self.faces].unbind(1)
        volume = (first * torch.linalg.cross(second, third)).sum() / 6
        height = vertices[:, 1].max() - vertices[:, 1].min()
        return height, DENSITY * volume.abs()


def stature_m(body: Body, betas: Float[Tensor, "10"]) -> float:
    """Height [m] of a body of these betas, standing in its rest pose: with its pose correctives, where it has any."""
    vertices = body.vertices(torch.zeros(1, 24, 3), betas.cpu())[0]
    return float(vertices[:, 1].max() - vertices[:, 1].min())
