"""A person's betas: from limb lengths, together with poses, and on the way."""
