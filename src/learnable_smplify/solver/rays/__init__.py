"""What cameras saw of a person: rays, where they meet, and whose left and right are exchanged."""
