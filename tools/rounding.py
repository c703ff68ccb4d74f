"""What half precision costs at best: single-precision arithmetic, every operator's output rounded to half."""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


def to_half(tensor):
    """The nearest half-precision values, in single precision."""
    return tensor.half().float()


class HalfRounding(TorchDispatchMode):
    """Rounds what each operator returns. Fused operators (convolution with bias, attention) round once."""

    def __init__(self):
        super().__init__()
        self.paused = False

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        if self.paused or any(value.alias_info for value in operator._schema.returns):
            return result  # views, and writes into tensors made by an operator before
        return tree_map(self.rounded, result)

    @staticmethod
    def rounded(value):
        return to_half(value) if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


@contextlib.contextmanager
def half_rounding(unet):
    """Rounds within the context, but computes the UNet's sinusoids exactly before rounding them, as anyone must:
    rounded angles of hundreds of radians would be noise."""
    mode = HalfRounding()

    def pause(module, inputs):
        mode.paused = True

    def resume(module, inputs, output):
        mode.paused = False
        return to_half(output)

    hooks = [unet.time_proj.register_forward_pre_hook(pause), unet.time_proj.register_forward_hook(resume)]
    try:
        with mode:
            yield
    finally:
        for hook in hooks:
            hook.remove()
