"""The optimizer and the averaged weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musegen.train.config import TrainConfig
from musegen.train.distributed import parted


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019): decay on matrices, none on norms and biases."""
    learning = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimizer's state by parameter name, for a .safetensors file."""
    tensors = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    return tensors


def restore_optimizer(model: nn.Module, optimizer: torch.optim.AdamW, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took out."""
    for name, parameter in model.named_parameters():
        keys = ("exp_avg", "exp_avg_sq")
        found = {key: tensors[f"optimizer.{key}.{name}"] for key in keys if f"optimizer.{key}.{name}" in tensors}
        if found:
            moments = {key: parted(value, parameter).clone() for key, value in found.items()}
            step = tensors[f"optimizer.step.{name}"].to(parameter.device).clone()
            optimizer.state[parameter] = {"step": step, **moments}


def update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move the averaged weights a share of 1 - decay towards the model's."""
    with torch.no_grad():
        own: list[Tensor] = [model.get_parameter(name) for name in average]
        torch._foreach_lerp_(list(average.values()), own, 1 - decay)  # one kernel for all
