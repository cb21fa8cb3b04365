"""Multimodal models of `transformers`: encode once, prune before the decoder, generate.

`base` holds what all classes share, `registry` finds the family of a model by the name of its
class, and a file per family says what is its own. `transformers` is imported on use.
"""
