"""Chaos: the product under load with faults from a seeded schedule, and books that must balance (`python -m loadtests.chaos`)."""
