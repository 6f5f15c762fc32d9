"""The search for exploits: programs of changes that raise the reward of bad responses."""
