"""Attribute heads on the states of a frozen encoder."""
