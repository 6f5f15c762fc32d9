"""Reward models in use: names, devices, digests, single texts."""
