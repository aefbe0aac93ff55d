"""Stands in for the part of diskimage-builder of this name in its own unit tests."""
