"""Speed ratios against stated opponents; see :mod:`benchmarks.speed.common`."""
