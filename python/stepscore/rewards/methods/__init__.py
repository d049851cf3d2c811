"""The published ways to turn step rewards into training signals, one file a family."""
