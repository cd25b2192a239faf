"""Fleets that do not fit here: availability traces replayed over measured times.

The real plan deals the steps and the real policies decide; only the machines are made up.
"""
