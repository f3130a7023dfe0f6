"""Low-rank adapters (LoRA: Hu et al. 2021): the weights of a trained network stay, thin matrices beside them learn.

Every projection of a transformer's blocks (qkv, out, feed_in, feed_out) becomes W + up @ down, `up` zero at first, so
that nothing changes until something is learnt. There is no alpha / rank before the product: AdamW's learning rate
says the same. What is learnt can be kept by itself (checkpoint.save_adapters), and is added to the weights when read.

Letters: C width in, E width out, R rank.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from musegen.errors import ModelError
from musegen.models.rnn import LSTM
from musegen.models.transformer import Transformer


class Adapted(nn.Module):
    """A projection without bias, its own weight (E, C) kept, and down (R, C) and up (E, R), which learn."""

    def __init__(self, plain: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight = plain.weight
        self.down = nn.Parameter(self.weight.new_empty(rank, plain.in_features))
        self.up = nn.Parameter(self.weight.new_zeros(plain.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as torch begins a projection

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., E)."""
        return functional.linear(x, self.weight) + functional.linear(functional.linear(x, self.down), self.up)


def adapt(model: Transformer | LSTM, rank: int) -> None:
    """Give every projection of the model's blocks adapters, drawn from torch's generator; nothing else learns then.

    Raises:
        ModelError: if the model is no transformer, or the rank is below 1 or not below the model's width.
    """
    if not isinstance(model, Transformer):
        raise ModelError("low-rank adapters need a transformer; train all weights of this model (leave --lora out)")
    if not 1 <= rank < model.config.d_model:
        raise ModelError(f"the rank is {rank}; it lies between 1 and {model.config.d_model - 1} for this model")
    model.requires_grad_(False)
    for module in list(model.blocks.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Adapted(child, rank))
