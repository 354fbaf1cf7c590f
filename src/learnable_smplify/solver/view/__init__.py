"""People seen by cameras: one camera's depth hypotheses, whole clips in pixels."""
