"""Checks of structures, their neighbours, and what a kernel takes of them."""
