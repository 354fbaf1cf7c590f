"""Videos: their pictures, who is in them, and bodies drawn over them."""
