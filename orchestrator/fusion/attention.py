"""Attention between a few latents and whatever they look at.

Letters: B batch, or any dimensions; Q queries; K keys; d narrow width; A heads; E width of a
head.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

CHUNK_QUERIES = 1024
"""Queries at once: where the scores are held, they are no more than this by the keys."""


class Attention(nn.Module):
    """Several heads, each with its own view of queries and keys."""

    def __init__(self, narrow: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.query = nn.Linear(narrow, narrow, bias=False)
        self.key = nn.Linear(narrow, narrow, bias=False)
        self.value = nn.Linear(narrow, narrow, bias=False)
        self.out = nn.Linear(narrow, narrow, bias=False)

    def forward(self, queries_BQd: Tensor, keys_BKd: Tensor) -> Tensor:
        """What each query finds, [B, Q, d]; 0 where there are no keys."""
        if keys_BKd.shape[-2] == 0:
            return torch.zeros_like(queries_BQd)
        query_BAQE = self._split(self.query(queries_BQd))
        key_BAKE = self._split(self.key(keys_BKd))
        value_BAKE = self._split(self.value(keys_BKd))
        found = [
            scaled_dot_product_attention(some_BAQE, key_BAKE, value_BAKE)
            for some_BAQE in torch.split(query_BAQE, CHUNK_QUERIES, dim=2)
        ]
        found_BQd = torch.cat(found, dim=2).transpose(1, 2).reshape(queries_BQd.shape)
        result: Tensor = self.out(found_BQd)
        return result

    def alone(self, queries_BQd: Tensor) -> Tensor:
        """What each query would find if it looked at nothing but itself, [B, Q, d]."""
        result: Tensor = self.out(self.value(queries_BQd))
        return result

    def _split(self, all_BQd: Tensor) -> Tensor:
        # Torch's fast ways know one dimension of a batch.
        *_, count, narrow = all_BQd.shape
        split = all_BQd.reshape(-1, count, self._heads, narrow // self._heads)
        return split.transpose(1, 2)
