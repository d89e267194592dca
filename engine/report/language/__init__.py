"""The words of the report in each language: one file a language, and how it is read."""
