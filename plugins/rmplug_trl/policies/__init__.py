"""Trainers of policies: by the rewards of a model, or by preferences."""
