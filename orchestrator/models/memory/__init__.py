"""What a micro-batch will cost: bytes and multiplications, from a model's configuration alone.

Nothing here loads weights, runs a model or knows torch. Each formula follows the operations of
transformers 5.23, peft 0.21 and this package, tensor by tensor; ``tests/bench/memory`` holds it
against what torch then allocates.
"""
