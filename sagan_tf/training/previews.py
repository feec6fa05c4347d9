"""Sample grids, attention figures and their sizes, drawn while a run trains."""

PREVIEW_IMAGES = 64
ATTENTION_ROWS, ATTENTION_QUERIES = 3, 4
