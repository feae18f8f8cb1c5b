"""Design rows of one structure: the plan of the kernels, the values of terms, and their derivatives."""
