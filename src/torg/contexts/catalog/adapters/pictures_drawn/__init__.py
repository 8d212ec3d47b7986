"""Product pictures, drawn when they are asked for."""

from torg.contexts.catalog.adapters.pictures_drawn.drawing import draw as draw
