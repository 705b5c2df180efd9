"""Bytes to text, text to paragraphs: the same for training and for serving."""
