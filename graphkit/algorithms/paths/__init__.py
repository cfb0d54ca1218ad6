"""Paths and hops: who is how far from whom, along which nodes."""
