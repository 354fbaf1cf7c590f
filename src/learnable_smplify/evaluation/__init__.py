"""Evaluation: how many millimetres a solver is off, on motion nobody tuned it on. A table a file: more than fifteen."""
