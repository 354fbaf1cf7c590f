"""Several cameras: whose detection is whose, who has left and right exchanged, and which clock is late."""
