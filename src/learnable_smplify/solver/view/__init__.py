"""People seen by cameras: triangulation, depth hypotheses, whole clips in pixels."""
