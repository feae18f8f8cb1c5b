"""Random inputs, each made from a seed alone, and what must hold for them; `fuzzing.py` runs the checks.

"models", "calculators" and "plugin" are kinds with a file of their own, "potentials" and "equations" are in
`files.py`; the other files are what these share.
"""
