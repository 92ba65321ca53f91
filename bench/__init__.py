"""Measurements, and what they are made on."""
