"""Opinions on whether a cell is allowed, one file each."""
