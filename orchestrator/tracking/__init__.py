"""What happened: the event log, the figures drawn from it, MLflow, the plot."""
