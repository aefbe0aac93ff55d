"""Stands in for diskimage-builder's package in its own unit tests."""
