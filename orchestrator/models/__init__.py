"""The model: loading, adapters, the sequence it reads, the loss it gives, what is exported.

Nothing is imported here, so that whoever needs the arithmetic of pictures alone (``qwen``) does
not load torch.
"""
