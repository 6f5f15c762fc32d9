"""The common part of all trainers: settings, adapters, resumption."""
