"""For compose.sh: products that take the dealer's triples and the links of containers. The values mean nothing."""

import numpy as np

import mpc

ROWS = 5000  # every office has more


@mpc.computation
def products(data):
    north, south, west = (data.party(name)["visits"] for name in ("north", "south", "west"))
    return {
        "north_south": mpc.dot(north["visits"][:ROWS], south["age"][:ROWS]),
        "south_west": mpc.dot(south["visits"][:ROWS], west["visits"][:ROWS]),
        "totals": north["visits"].sum() * west["visits"].sum(),
    }


def pooled(tables):
    """The same in numpy, from party -> table -> column -> vector."""
    north, south, west = (tables[name]["visits"] for name in ("north", "south", "west"))
    return {
        "north_south": np.dot(north["visits"][:ROWS], south["age"][:ROWS]),
        "south_west": np.dot(south["visits"][:ROWS], west["visits"][:ROWS]),
        "totals": north["visits"].sum() * west["visits"].sum(),
    }
