"""Reads a spec and checks it before anything runs."""
