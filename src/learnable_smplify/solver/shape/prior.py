"""What is held to be true of a person's shape before any keypoint is seen, or told by the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.size import RestMesh

Build = Literal["slim", "mean", "stout"]
Quantity = Literal["height", "weight", "bmi"]
# Body mass index [kg/m^2] that is meant by a build, relative to the average person's.
BUILD_BMI: dict[Build, float] = {"slim": -3.5, "mean": 0.0, "stout": 5.0}
# What is meant by a stated build [kg/m^2], height [m] and weight [kg].
_BUILD_SIGMA, _HEIGHT_SIGMA, _WEIGHT_SIGMA = 0.5, 0.01, 1.0
_KNOWN_PRECISION = 1e6
# Limbs tell the height within this share; people are alive between these body mass indices [kg/m^2], children too.
_HEIGHT_TELLS, _ALIVE_BMI = 0.12, (11.0, 60.0)


@dataclass(frozen=True)
class Want:
    """A size that a body should have.

    Args:
        quantity: which: height [m], weight [kg] or bmi [kg/m^2].
        value: of it.
        sigma: how sure.
    """

    quantity: Quantity
    value: float
    sigma: float


@dataclass(frozen=True)
class KnownSize:
    """What a user knows of a person; None where nothing.

    Args:
        build: slim, mean or stout: body mass indices of 3.5 below, of, and 5 above the average person's.
        height_m: metres.
        weight_kg: kilograms.
        average: (10,) betas of the average person of their kind, as `Body.average` gives them; None is the mean body.
    """

    build: Build | None = None
    height_m: float | None = None
    weight_kg: float | None = None
    average: tuple[float, ...] | None = None

    def usual(self, mesh: RestMesh) -> Float[Tensor, "10"]:
        """Betas of the average person."""
        zero = torch.zeros_like(mesh.shapedirs[0, 0])
        return zero if self.average is None else zero.new_tensor(self.average)

    def usual_bmi(self, mesh: RestMesh) -> float:
        """Body mass index of the average person [kg/m^2]."""
        height, weight = mesh.height_and_weight(self.usual(mesh))
        return float(weight / height**2)

    def wants(self, mesh: RestMesh) -> tuple[Want, ...]:
        """The sizes that this says a body should have."""
        found = []
        if self.height_m is not None:
            found.append(Want("height", self.height_m, _HEIGHT_SIGMA))
        if self.weight_kg is not None:
            found.append(Want("weight", self.weight_kg, _WEIGHT_SIGMA))
        elif self.build is not None:
            found.append(Want("bmi", self.usual_bmi(mesh) + BUILD_BMI[self.build], _BUILD_SIGMA))
        return tuple(found)

    def contradictions(self, seen_height_m: float) -> tuple[str, ...]:
        """In words, what keypoints or nature contradict.

        Args:
            seen_height_m: of somebody whose limbs are as long as the measured ones [m].
        """
        said = []
        if self.height_m is not None and abs(self.height_m / seen_height_m - 1) > _HEIGHT_TELLS:
            said.append(
                f"the keypoints contradict the height of {self.height_m:.2f} m that was given: their limbs are those "
                f"of somebody of about {seen_height_m:.2f} m, so the body does not fit them"
            )
        if self.weight_kg is not None:
            bmi = self.weight_kg / (self.height_m or seen_height_m) ** 2
            if not _ALIVE_BMI[0] < bmi < _ALIVE_BMI[1]:
                said.append(
                    f"the weight of {self.weight_kg:g} kg that was given is nobody's at a height of "
                    f"{self.height_m or seen_height_m:.2f} m (a body mass index of {bmi:.0f}), so the body does not fit"
                )
        return tuple(said)


@dataclass(frozen=True, eq=False)
class ShapePrior:
    """A normal of unit variance over S shape unknowns, and sizes that the body of the first ten (betas) should have.

    -2 log of it, up to a constant: weight (|s - m|^2 + sum_i ((q_i(betas) - v_i) / sigma_i)^2), with m zero but for
    what is average. Of betas that are known, |betas - m|^2 is |betas - known|^2 times a large number.

    Args:
        mesh: to measure sizes on; None where there are no wants.
        wants: v_i and sigma_i.
        weight: of the whole.
        tightness: of |s - m|^2 alone; above 1 draws people into the shape space.
        betas: (10,) where they are known.
        average: (10,) of the average person; None is zero.
    """

    mesh: RestMesh | None = None
    wants: tuple[Want, ...] = ()
    weight: float = 1.0
    tightness: float = 1.0
    betas: Float[Tensor, "10"] | None = None
    average: Float[Tensor, "10"] | None = None

    def cost(self, shape: Float[Tensor, " S"]) -> Tensor:
        """A scalar."""
        precision, away = self._normal(shape)
        cost = (precision * away.square()).sum()
        for want, value in zip(self.wants, self._sizes(shape), strict=True):
            cost = cost + ((value - want.value) / want.sigma) ** 2
        return self.weight * cost

    def quadratic(self, shape: Float[Tensor, " S"]) -> tuple[Float[Tensor, "S S"], Float[Tensor, " S"]]:
        """Gauss-Newton matrix and half the gradient."""
        precision, away = self._normal(shape)
        normal, gradient = precision.diag(), precision * away
        if self.wants:
            leaf = shape.detach().clone().requires_grad_(True)
            with torch.enable_grad():
                sizes = self._sizes(leaf)
                slopes = [torch.autograd.grad(size, leaf, retain_graph=True)[0] for size in sizes]
            for want, size, slope in zip(self.wants, sizes, slopes, strict=True):
                row = slope / want.sigma
                normal = normal + row[:, None] * row
                gradient = gradient + row * ((size.detach() - want.value) / want.sigma)
        return self.weight * normal, self.weight * gradient

    def _normal(self, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Precisions of the unknowns, and how far they are from their means."""
        precision, mean = torch.full_like(shape, self.tightness), self.average
        if self.betas is not None:
            precision[: len(self.betas)] = _KNOWN_PRECISION
            mean = self.betas
        if mean is None:
            return precision, shape
        return precision, torch.cat((shape[: len(mean)] - mean.to(shape), shape[len(mean) :]))

    def _sizes(self, shape: Tensor) -> list[Tensor]:
        if not self.wants or self.mesh is None:
            return []
        height, weight = self.mesh.height_and_weight(shape[: self.mesh.shapedirs.shape[-1]])
        by_name = {"height": height, "weight": weight, "bmi": weight / height**2}
        return [by_name[want.quantity] for want in self.wants]
