"""The pretrained encoder as a folder in Hugging Face layout."""
