"""Tests of the engine, and what they share: tiny checkpoints and a float64 reference to judge by."""
