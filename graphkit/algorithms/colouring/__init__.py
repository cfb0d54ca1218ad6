"""Colours of nodes by the Weisfeiler-Leman tests, and hashes of them."""
