"""Specs as tests: what the pytest plugin does once there is a spec to test."""
