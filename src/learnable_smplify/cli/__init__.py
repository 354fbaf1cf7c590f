"""The commands: one file each (which makes more than fifteen), and what they share."""
