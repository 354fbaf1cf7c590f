"""Plug-in refinement: an image-based estimator's motion and better keypoints in, a better motion out."""

from learnable_smplify.refine.align import Alignment
from learnable_smplify.refine.options import RefineOptions
from learnable_smplify.refine.people import Match, match_people
from learnable_smplify.refine.refine import RefineResult, refine_motion
from learnable_smplify.refine.views import ViewRefinement, refine_by_views

__all__ = [
    "Alignment",
    "Match",
    "RefineOptions",
    "RefineResult",
    "ViewRefinement",
    "match_people",
    "refine_by_views",
    "refine_motion",
]
