"""From files to micro-batches: conversations, media, token ids, the index, rendering.

NumPy, Pillow and PyArrow; neither Ray nor torch. What renders (``render``, ``media``,
``micro_batch``) loads no tokenizer either: a rendering process starts in well under a second.
"""
