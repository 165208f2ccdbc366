"""A video world model that remembers in 3D: see README.md for the five-line tour."""
