"""Fitting a whole folder of recordings: what to do, which is done already, and the engines that do it."""
