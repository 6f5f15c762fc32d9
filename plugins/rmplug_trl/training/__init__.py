"""What all trainers have in common: settings, adapters, resumption."""
