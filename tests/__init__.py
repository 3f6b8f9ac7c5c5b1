"""Tests and benchmarks. Importing this comes before any of them brings torch, and so OpenMP, with it."""

from engine.kernels.passive import wait_passively

wait_passively()
