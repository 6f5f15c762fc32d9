"""Finds plugins and the kinds they give."""
