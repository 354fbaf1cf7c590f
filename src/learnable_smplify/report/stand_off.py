"""Where a person's markers stand beside those of most people, found from a motion and what was measured."""

from __future__ import annotations

import warnings

import numpy as np
import roma
import torch
from jaxtyping import Float

from learnable_smplify.body.body import Body
from learnable_smplify.body.carried import hanging_joint
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import PARENTS


def stand_off(
    body: Body, motion: Motion, layout: Layout, beside: Float[np.ndarray, "T K 3"]
) -> Float[np.ndarray, "T K 3"]:
    """Where every marker stands beside the body's point, constant in the frame of the bone that it is on.

    That is the joint it hangs on or the one above, whichever leaves less: markers on hips are fixed to the pelvis.

    Args:
        body: the body of the motion.
        motion: T frames.
        layout: of the K markers.
        beside: from the body's points to the markers [m], NaN where they are missing.

    Returns:
        the same vectors as they would be of markers that never move against the bone [m]; NaN of markers never seen.
    """
    folded = body.folded(layout)
    world = folded.shaped(motion.betas[None].cpu()).pose(roma.rotvec_to_rotmat(motion.pose.cpu())).world_rotmat
    main = hanging_joint(folded)
    on_main, on_parent = (
        _constant(world[:, joint].double().numpy(), beside)
        for joint in (main, torch.tensor(PARENTS)[main].clamp(min=0))
    )
    steadier = _left(on_parent, beside) < _left(on_main, beside)
    return np.where(steadier[:, None], on_parent, on_main)


def _constant(bone: Float[np.ndarray, "T K 3 3"], beside: Float[np.ndarray, "T K 3"]) -> Float[np.ndarray, "T K 3"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a marker that is never seen
        middle = np.nanmedian(np.einsum("tkyx,tky->tkx", bone, beside), axis=0)
    return np.asarray(np.einsum("tkyx,kx->tky", bone, middle))


def _left(found: Float[np.ndarray, "T K 3"], beside: Float[np.ndarray, "T K 3"]) -> Float[np.ndarray, "K"]:
    """What is left on average [m], 0 of markers never seen."""
    return np.nan_to_num(np.linalg.norm(found - beside, axis=-1)).mean(axis=0)
