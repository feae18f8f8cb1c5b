"""Benchmarks for airspeed velocity: time and memory, and accuracy beside them."""
