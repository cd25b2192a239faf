"""What stands between the vision tower and the language model when there are many images.

The images of a conversation share a token budget, look at each other and at the question, and
get tokens by how much they matter. Knows torch, and nothing of any model.
"""
