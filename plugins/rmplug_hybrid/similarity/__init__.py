"""How alike the two responses of a pair are, and how long."""
