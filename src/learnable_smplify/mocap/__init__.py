"""Motion capture of other skeletons: its files, and the way onto SMPL's skeleton."""
