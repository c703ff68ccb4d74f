"""The recipe of the demo model in `models/demo`: see README.md beside this file."""
