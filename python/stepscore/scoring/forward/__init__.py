"""Unique tokens through the model: plan, attention, engine, sharing, memory."""
