"""Pictures of the published data: a frame in, a PNG out.

    from funding_pipeline import client, pictures
    pictures.heat_map(client.moving_averages(window="7d", newest=True))

Each function takes what a question of `client` answers, says which columns it needs, and returns
the bytes of a PNG below 150 KB, or None when there is nothing to draw. 1100 pixels is what Dagster
shows of one on a screen of 1440, so none is wider. Percent on all axes; colours that colour-blind
eyes tell apart, and numbers beside them wherever there is room.

Belongs here: what is drawn and how. Does not: reading (client), figures (transforms), where
pictures go (defs). matplotlib is imported only when something is drawn.
"""

from funding_pipeline.pictures.completeness import completeness
from funding_pipeline.pictures.heat_map import heat_map
from funding_pipeline.pictures.lines import lines
from funding_pipeline.pictures.spreads import top_spreads

__all__ = ["completeness", "heat_map", "lines", "top_spreads"]
