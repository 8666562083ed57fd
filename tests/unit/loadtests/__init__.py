"""What judges the benchmarks."""
