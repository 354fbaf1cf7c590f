"""Numbers as colours: uncertainty on the body's surface, and the legend that says what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

RGB = tuple[int, int, int]

# Certain, half the scale, the top of the scale and beyond.
HEAT_COLORS: tuple[RGB, ...] = ((150, 168, 188), (243, 201, 85), (200, 45, 40))
UNKNOWN_COLOR: RGB = (110, 113, 118)
# Skin weights are rounded to multiples of 1 / this: as many shades lie between two neighbouring joints' colours.
_SHADES = 2
# How far the hem of a part lies below its neighbour's surface [m]: out of sight, yet no visible turn of the normals.
_HEM_DEPTH = 0.0004


def ramp(values: Float[np.ndarray, "N"], colors: Sequence[RGB]) -> UInt8[np.ndarray, "N 3"]:
    """Colours (N, 3) of values in 0..1 (clipped): `colors` evenly spaced, in between a mixture. NaN is grey."""
    known = np.isfinite(values)
    clipped = np.clip(np.where(known, values, 0.0), 0.0, 1.0)
    places = np.linspace(0.0, 1.0, len(colors))
    mixed = np.stack([np.interp(clipped, places, channel) for channel in np.array(colors, float).T], axis=-1)
    return np.where(known[:, None], mixed + 0.5, UNKNOWN_COLOR).astype(np.uint8)


def scale_top_deg(uncertainty_deg: Float[np.ndarray, "T 24"]) -> float:
    """Top of the colour scale [deg]: the least multiple of 5 that 99 of 100 values stay below."""
    known = uncertainty_deg[np.isfinite(uncertainty_deg)]
    return max(5.0, 5.0 * float(np.ceil(np.percentile(known, 99) / 5.0))) if len(known) else 5.0


def legend_html(top_deg: float) -> str:
    """A colour bar with its scale, and the grey of what is not known."""
    bar = ", ".join(f"rgb{color}" for color in HEAT_COLORS)
    return (
        '<div style="font-size: 0.75em; padding: 0.3em 0.9em">joint uncertainty (standard deviation)'
        f'<div style="height: 0.9em; border-radius: 3px; background: linear-gradient(to right, {bar})"></div>'
        '<div style="display: flex; justify-content: space-between">'
        f"<span>0°</span><span>{top_deg / 2:g}°</span><span>{top_deg:g}° or more</span></div>"
        f'<span style="color: rgb{UNKNOWN_COLOR}">■</span> not known</div>'
    )


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of the surface that has one colour.

    The piece and one ring of its neighbours' triangles, the hem: with it, the normals at the border are those of the
    whole surface and no seam shows. Vertices that only the hem uses are drawn a little deeper, out of sight.

    Args:
        mix: (24,) the joints' shares in the colour; sums to 1.
        vertices: (N,) numbers of the body's vertices.
        faces: (M, 3) triangles, as positions in `vertices`.
        hem: (N,) true for vertices of the hem alone.
    """

    mix: Float[np.ndarray, "24"]
    vertices: Int[np.ndarray, "N"]
    faces: Int[np.ndarray, "M 3"]
    hem: Bool[np.ndarray, "N"]

    def posed(self, vertices: Float[np.ndarray, "V 3"], normals: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "N 3"]:
        """The part's own vertices, from those of the body and their normals."""
        depth = np.where(self.hem, np.float32(_HEM_DEPTH), np.float32(0))
        return (vertices[self.vertices] - depth[:, None] * normals[self.vertices]).astype(np.float32)


def color_parts(weights: Float[np.ndarray, "V 24"], faces: Int[np.ndarray, "F 3"]) -> list[Part]:
    """Cut the surface into parts of one mixture of joints each, by the skin weights.

    Browsers are sent one colour a mesh, not one a vertex; many small meshes stand in for that.
    """
    rounded = np.round(weights[faces].mean(axis=1) * _SHADES)
    rounded[np.arange(len(faces)), weights[faces].mean(axis=1).argmax(axis=1)] += rounded.sum(axis=1) == 0
    mixes, owner = np.unique(rounded, axis=0, return_inverse=True)
    parts = []
    for number, mix in enumerate(mixes):
        own = faces[owner == number]
        inside = np.zeros(len(weights), dtype=bool)
        inside[own] = True
        touched = inside[faces].sum(axis=1)
        # A neighbour with all three corners here would lie on the surface, where it is not wanted.
        hem = faces[(owner != number) & (touched > 0) & (touched < 3)]
        drawn = np.concatenate([own, hem])
        used, local = np.unique(drawn, return_inverse=True)
        parts.append(Part(mix / mix.sum(), used, local.reshape(-1, 3), ~inside[used]))
    return parts


def part_colors(
    parts: Sequence[Part], uncertainty_deg: Float[np.ndarray, "24"], top_deg: float
) -> UInt8[np.ndarray, "P 3"]:
    """Colours (P, 3) of parts; joints that are not known count as the others of the mixture, alone as grey."""
    mixes = np.stack([part.mix for part in parts])
    known = np.isfinite(uncertainty_deg)
    share = (mixes * known).sum(axis=1)
    with np.errstate(invalid="ignore"):
        values = (mixes * np.where(known, uncertainty_deg, 0.0)).sum(axis=1) / np.where(share > 0, share, np.nan)
    return ramp(values / top_deg, HEAT_COLORS)
