"""How long the nodes of a site will pull, foretold on the machine that will serve them."""
