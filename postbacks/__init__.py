"""Delivery: templates, destinations, the outbox and its dispatcher. Knows events and destinations, not clicks or fans."""
