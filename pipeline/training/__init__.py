"""Rows to models: cross-validation, the final fit, the compact form, the cascade."""
