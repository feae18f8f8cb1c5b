"""Checks of structures, their neighbors, and what a kernel takes of them."""
