"""Training of the network: the store of motion, pair sampling, corruption of keypoints, and the loop."""
