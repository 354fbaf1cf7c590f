"""One frame: the problem, its solver and kernels, priors, the search from nothing, and the way to the next frame."""
