"""What is well and what is not, in numbers and in words.

Imports the rooms below: `model` to `jobs`.
"""
