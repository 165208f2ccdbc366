"""The stages of the CPU rasterizer: project, bin, composite; Numba kernels on explicit eight-lane vectors."""
