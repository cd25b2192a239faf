"""Who joins, who leaves, who saves, who is let go: decisions as pure functions of what is seen.

A policy decides, ``cluster`` acts, and ``simulate`` asks the same policies about fleets that do
not fit here. Times are seconds on any one clock, handed in; nothing here reads one.
"""
