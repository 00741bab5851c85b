"""Whether a machine will do, before anything is changed on it: facts, gathered once, and findings made of them."""
