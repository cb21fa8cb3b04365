"""One question about one picture, asked with all visual tokens and with what a method keeps."""

from __future__ import annotations

from .asking import Asked, ask
from .examples import about_picture, about_scene
from .picture import drawn, views_of_sample

__all__ = ["Asked", "about_picture", "about_scene", "ask", "drawn", "views_of_sample"]
