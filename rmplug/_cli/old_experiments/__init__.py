"""Experiment files of the original reward-model analysis, read and turned into specs."""
