"""Checkpoints of others, and of our own training, as models: read, recognised, rebuilt."""
