"""Files of strangers, read without running what is in them and without taking a size on faith; files written whole.

They are more than fifteen because every kind of file that others write is one.
"""
