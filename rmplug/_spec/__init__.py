"""The spec: read, and checked before anything runs."""
