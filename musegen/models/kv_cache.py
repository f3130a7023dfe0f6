"""The keys and values of the tokens that a transformer has read, in memory that is taken once.

Every row has a length of its own, so that rows with prompts of different lengths share a batch. Keys are read
up to the longest row, rounded up to READ_MULTIPLE, with a mask over what a row does not have: the sum over
keys then runs in the same order for a row whatever rows lie beside it, and its bits do not change.

Letters: B rows, T new tokens, L keys read, K key/value heads, G query heads to each, D width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from musegen.models.config import ModelConfig

READ_MULTIPLE = 64
"""Keys are read in multiples of this, so that no sum over keys ends in an odd tail of a vector loop."""


class KVCache:
    """Keys and values of every layer, (n_layer, B, capacity, K, D) each, and the length of each row."""

    def __init__(
        self, config: ModelConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.capacity = -(-capacity // READ_MULTIPLE) * READ_MULTIPLE
        self.group = config.n_head // config.n_kv_head
        shape = (config.n_layer, batch, self.capacity, config.n_kv_head, config.d_head)
        # Zeros, not empty memory: a masked key weighs 0, and 0 times an accidental NaN is NaN.
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = torch.zeros(batch, dtype=torch.int64)

    @property
    def batch(self) -> int:
        """How many rows there are."""
        return self.keys.shape[1]

    @property
    def length(self) -> int:
        """Tokens in the longest row."""
        return int(self.lengths.max()) if self.batch else 0

    def plan(self, n_new: int) -> CacheStep:
        """Where the next `n_new` tokens of every row go, and which keys each of them may see."""
        if self.length + n_new > self.capacity:
            raise ValueError(f"{self.length} tokens and {n_new} more do not fit a cache of {self.capacity}")
        device = self.keys.device
        positions = (self.lengths[:, None] + torch.arange(n_new)).to(device)  # (B, T)
        n_read = -(-(self.length + n_new) // READ_MULTIPLE) * READ_MULTIPLE
        unseen = torch.arange(n_read, device=device) > positions.unsqueeze(-1)  # (B, T, L)
        mask = torch.zeros(unseen.shape, device=device, dtype=self.keys.dtype)
        mask.masked_fill_(unseen, -torch.inf)
        if n_new > 1:  # a lone token's mask serves its G query rows as it is
            mask = mask.repeat_interleave(self.group, dim=1)
        first = torch.arange(self.batch, device=device).unsqueeze(-1) * self.capacity
        return CacheStep(self, positions, (positions + first).flatten(), mask.unsqueeze(1))

    def advance(self, n_new: int) -> None:
        """Count `n_new` more tokens in every row."""
        self.lengths += n_new

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order (one may be named more than once)."""
        on_device = rows.to(self.keys.device)
        used = self.length
        self.keys = _select(self.keys, on_device, used)
        self.values = _select(self.values, on_device, used)
        self.lengths = self.lengths[rows.cpu()]

    def insert(self, row: int, source: KVCache) -> None:
        """Replace a row by the only row of `source`."""
        used = source.length
        self.keys[:, row, :used] = source.keys[:, 0, :used]
        self.values[:, row, :used] = source.values[:, 0, :used]
        self.lengths[row] = source.lengths[0]

    def reset(self, rows: Tensor | None = None) -> None:
        """Forget what these rows hold (all of them without `rows`)."""
        if rows is None:
            self.lengths.zero_()
        else:
            self.lengths[rows.cpu()] = 0


def _select(store: Tensor, rows: Tensor, used: int) -> Tensor:
    """The rows of (n_layer, B, capacity, K, D), copying only the used length; in place if B stays."""
    kept = store[:, rows, :used]
    is_same_batch = len(rows) == store.shape[1]
    target = store if is_same_batch else store.new_zeros((store.shape[0], len(rows), *store.shape[2:]))
    target[:, :, :used] = kept
    return target


class CacheStep:
    """One call's view of a cache: the same positions and mask serve every layer."""

    def __init__(self, cache: KVCache, positions: Tensor, slots: Tensor, mask: Tensor) -> None:
        self.positions = positions
        """(B, T): how many tokens stand before each new one."""
        self.mask = mask
        """(B, 1, T * G or 1, L), to be added to scores: 0 where a new token may look, -inf elsewhere."""
        self._cache = cache
        self._slots = slots

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values, (B, T, K, D); returns all that is read, (B, K, L, D) each."""
        read = []
        for store, new in ((self._cache.keys[layer], keys), (self._cache.values[layer], values)):
            store.flatten(0, 1).index_copy_(0, self._slots, new.flatten(0, 1))
            read.append(store[:, : self.mask.shape[-1]].transpose(1, 2))
        return read[0], read[1]
