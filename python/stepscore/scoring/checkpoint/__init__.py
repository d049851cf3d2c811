"""From a folder or a repository to a backbone, a head and a tokenizer."""
