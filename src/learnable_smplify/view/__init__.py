"""A motion in the browser: what to draw as arrays (`figure`, `dots`, `heat`, `stage`, `clock`), and `viewer`, which
shows it through viser."""
