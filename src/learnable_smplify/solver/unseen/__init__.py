"""Parts of the body that a recording does not show, or not all the time."""
