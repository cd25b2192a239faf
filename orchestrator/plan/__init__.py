"""Which sample is trained when, as integer arithmetic: order, pack, deal. NumPy alone."""
