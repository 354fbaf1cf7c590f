"""SMPLify, the classical baseline: descent on autograd's gradients, in 3D and 2D."""
