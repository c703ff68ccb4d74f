//! DiffEdit on Stable Diffusion 1.5, in hand-written CUDA kernels.
