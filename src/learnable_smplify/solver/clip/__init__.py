"""A whole clip as one problem: smoothing, held feet."""
