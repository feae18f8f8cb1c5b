"""Structures of files: the parts of a file, each of which any process can read by itself."""
