"""The ways in which published PRMs are laid out as tokens, and read."""
