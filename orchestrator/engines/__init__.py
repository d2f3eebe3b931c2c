"""When it is done: pacing, places, budget, and the loop that carries tasks through their life."""
