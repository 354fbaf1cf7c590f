"""The HTML report of a motion: `measures` (numbers), `verdicts` (sentences), `charts`, `pictures`, `page`."""
