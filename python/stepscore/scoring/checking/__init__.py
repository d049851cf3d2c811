"""What `check_model` compares a loaded model with, and what it warns of."""
