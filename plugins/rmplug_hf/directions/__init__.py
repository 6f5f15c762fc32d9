"""Directions in hidden states: probes that find them, what they do to a reward, their removal."""
