"""The record of one splat on the image plane: 64 bytes, one line of the cache."""

from __future__ import annotations

import numpy as np

f32 = np.float32

RECORD = 16  # floats
CENTER_U, CENTER_V = 0, 1  # pixels
CONIC_UU, CONIC_UV, CONIC_VV = 2, 3, 4  # exponent / 16 = uu du^2 + uv du dv + vv dv^2
OPACITY = 5
CUTOFF = 6  # the exponent / 16 at which alpha falls to 1/255
CHANNELS = 7  # z in metres, red, green, blue, one feature
LEFT, RIGHT, TOP, BOTTOM = 12, 13, 14, 15  # pixels with alpha >= 1/255 lie in this box; RIGHT = -1: not visible

# Pixels of a tile, as powers of two: 64 by 16 keeps a tile's channels within the first-level cache.
WIDTH_BITS, HEIGHT_BITS = 6, 4
TILE_WIDTH, TILE_HEIGHT = 1 << WIDTH_BITS, 1 << HEIGHT_BITS
ROW = TILE_WIDTH + 8  # eight pixels of padding, so that a vector may overhang the tile
PLANE = TILE_HEIGHT * ROW
