"""Launching: one description of a cluster, its renderings for four launchers, rules and prices.

Pure: text in, text out. What asks Ray itself is in ``cluster/launching.py``.
"""
