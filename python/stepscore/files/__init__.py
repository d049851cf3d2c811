"""Files: lines read lazily, and output that appears whole or not at all."""
