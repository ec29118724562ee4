"""The images that are made on this machine: recipes, versions by content, and their builder."""
