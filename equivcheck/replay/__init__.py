"""Trains arms as declared."""
