"""Evaluation: how many millimetres a solver is off, on motion nobody tuned it on. One file a table, so more than fifteen."""
