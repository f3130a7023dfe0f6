"""Training: shards in, weights out. Needs torch, NumPy and safetensors only."""
